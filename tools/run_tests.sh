#!/usr/bin/env bash
# Prepares the environment where it is missing, then runs the linters and every test.
#
# Usage: bash tools/run_tests.sh [--stack onedl|openmmlab] [arguments of pytest]
#
#   --stack NAME   onedl: the maintained fork of MMDetection; openmmlab: mmdet 3.3.0
#   -h, --help     show this text
#
# Examples: bash tools/run_tests.sh -m "not slow"
#           bash tools/run_tests.sh tests/test_tools -x
# The exit code is that of pytest, or 1 where only a linter complains.
set -euo pipefail
# shellcheck source=tools/setup_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

parse_stack "$@"
prepare_environment

lint=0
say "Checking style and types: some seconds, the first time about a minute"
"$PY" -m ruff check . || lint=1
"$PY" -m ruff format --check . || lint=1
"$PY" -m mypy || lint=1

# A process for each core, a file of tests stays in one, and a thread for each process:
# more of them wait for one another in a spin. `-n 0` runs all in one process.
cores=$(nproc)
say "Running the tests"
OMP_NUM_THREADS=1 "$PY" -m pytest -n $((cores < 4 ? cores : 4)) --dist loadfile "${REST[@]}"
((lint == 0)) || die "the tests pass, but ruff or mypy complains (see above)"
