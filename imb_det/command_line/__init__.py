"""What the tools do around mmengine's runner: before it is built, and when it fails."""
