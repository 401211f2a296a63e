"""Processes that start in milliseconds: forked from one that has imported everything.

Importing torch and mmdet takes seconds, in every process that starts from nothing. Here
a server does it once for each process of pytest, and forks what the tests ask for. The
server itself computes nothing, so that its children find no threads and no state.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["tests.preloaded"])


def start_server():
    """Start the server where there is none, with the tests in sight."""
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.chdir(here)


def _run_tool(path, arguments, folder, environment, outputs):
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [path, *arguments]
    sys.path.insert(0, str(Path(path).parent))
    # An exception, or an exit with a code, becomes what a command would make of it.
    runpy.run_path(path, run_name="__main__")


def start_tool(tool, *arguments, outputs, cwd=None):
    """Start a tool of ``tools/``; what it prints goes to two files, ``outputs``."""
    start_server()
    words = [str(word) for word in arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = FORKED.Process(
        target=_run_tool,
        args=(str(ROOT / "tools" / tool), words, str(cwd or Path.cwd())),
        kwargs=dict(environment=environment, outputs=list(map(str, outputs))),
    )
    process.start()
    return process


def run_tool(tool, *arguments, cwd=None, timeout=600):
    """Run a tool of ``tools/`` as a command, but for the time its imports take.

    ``tests/test_tools/test_scripts.py`` starts them all from nothing.

    Args:
        tool: Name of the file.
        *arguments: Of the command line.
        cwd: Folder that it runs in. Default: the present one.
        timeout: Seconds after which it is killed, which is an error.

    Returns:
        What ``subprocess.run`` returns: ``returncode``, ``stdout`` and ``stderr``.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        process = start_tool(tool, *arguments, outputs=outputs, cwd=cwd)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([tool, *arguments], timeout)
        texts = [output.read_text() for output in outputs]
        return subprocess.CompletedProcess([tool, *arguments], process.exitcode, *texts)
