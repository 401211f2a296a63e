#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# One process a GPU; without a GPU the same number of processes share the CPU.
# Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500), PYTHON.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tools/_dist.sh
source "$ROOT/tools/_dist.sh"

if (($# < 2)); then
  sed -n 's/^# //p' "${BASH_SOURCE[0]}" | grep -v '^shellcheck' >&2
  exit 2
fi
dist_launch "$2" "$ROOT/tools/train.py" "$1" "${@:3}"
