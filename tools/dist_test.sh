#!/usr/bin/env bash
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# One process a GPU; without a GPU the same number of processes share the CPU.
# Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500), PYTHON.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tools/_dist.sh
source "$ROOT/tools/_dist.sh"

if (($# < 3)); then
  sed -n 's/^# //p' "${BASH_SOURCE[0]}" | grep -v '^shellcheck' >&2
  exit 2
fi
dist_launch "$3" "$ROOT/tools/test.py" "$1" "$2" "${@:4}"
