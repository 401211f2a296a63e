#!/usr/bin/env bash
# Prepares the environment where it is missing, then runs the linters and the tests.
#
# Usage: bash tools/run_tests.sh [--stack onedl|openmmlab] [--lowest]
#                                [--part everyday|weekly|all] [arguments of pytest]
#
#   --stack NAME   onedl: the maintained fork of MMDetection; openmmlab: mmdet 3.3.0
#   --lowest       the lowest versions that pyproject.toml allows, in .venv-lowest
#   --part NAME    everyday (the default): all but the heavy tests marked `weekly`, of
#                  which it has an equivalent; weekly: those alone; all: both
#   -h, --help     show this text
#
# Examples: bash tools/run_tests.sh -m "not slow"      (an -m of yours replaces --part)
#           bash tools/run_tests.sh tests/test_tools -x
# Once a week is enough for: --part weekly, --stack openmmlab --part all, --lowest.
# The exit code is that of pytest, or 1 where only a linter complains.
set -euo pipefail
# shellcheck source=tools/setup_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

# Sets SELECT, the arguments with which pytest selects a part; takes --part from REST.
parse_part() {
  local part=everyday
  local rest=("${REST[@]}")
  REST=()
  set -- "${rest[@]}"
  while (($#)); do
    case $1 in
      --part)
        (($# > 1)) || die "--part needs a name: everyday, weekly or all"
        part=$2
        shift
        ;;
      --part=*) part=${1#*=} ;;
      *) REST+=("$1") ;;
    esac
    shift
  done
  case $part in
    everyday) SELECT=(-m "not weekly") ;;
    weekly) SELECT=(-m weekly) ;;
    all) SELECT=() ;;
    *) die "unknown part '$part': choose everyday, weekly or all" ;;
  esac
}

parse_stack "$@"
parse_part
prepare_environment

lint=0
check() { "$PY" -m "$@" || lint=1; }
say "Checking style and types: some seconds, the first time about a minute"
check ruff check .
check ruff format --check .
check mypy
check codespell_lib
check validate_pyproject pyproject.toml

# A process for each core, a file of tests stays in one, and a thread for each process:
# more of them wait for one another in a spin. `-n 0` runs all in one process.
cores=$(nproc)
say "Running the tests"
OMP_NUM_THREADS=1 "$PY" -m pytest -n $((cores < 4 ? cores : 4)) --dist loadfile \
  "${SELECT[@]}" "${REST[@]}"
((lint == 0)) || die "the tests pass, but a linter complains (see above)"
