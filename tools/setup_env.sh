#!/usr/bin/env bash
# Prepares the Python environment of this checkout: .venv (stack onedl, the default) or
# .venv-openmmlab. Run it again at any time: it repairs and updates, and does nothing
# where nothing has changed. quickstart.sh and run_tests.sh call it by themselves.
#
# Usage: bash tools/setup_env.sh [--stack onedl|openmmlab] [--lowest]
#
#   --stack NAME   onedl: the maintained fork of MMDetection; openmmlab: mmdet 3.3.0
#   --lowest       the lowest versions that pyproject.toml allows, in .venv-lowest
#   -h, --help     show this text
#
# Environment: PYTHON   the Python (3.10 or newer) to make the environment with
#              CXX      the C++ compiler that mmcv is built with (g++)
#              MAX_JOBS the number of compiler processes (by cores and free memory)
# pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, ...) hold as well.
set -euo pipefail

TORCH="torch==2.13.0"
NEEDED_GB=6
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# ---------------------------------------------------------------- command line

# Prints the comment at the top of the script that was called.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# Sets STACK, LOWEST, VENV and PY; REST holds the arguments that are not ours.
parse_stack() {
  STACK=onedl LOWEST="" REST=()
  while (($#)); do
    case $1 in
      --stack)
        (($# > 1)) || die "--stack needs a name: onedl or openmmlab"
        STACK=$2
        shift
        ;;
      --stack=*) STACK=${1#*=} ;;
      --lowest) LOWEST=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) REST+=("$1") ;;
    esac
    shift
  done
  case $STACK in
    onedl) VENV=$ROOT/.venv MMCV_NAME=onedl-mmcv SETUPTOOLS="setuptools<82" ;;
    # The build of mmcv 2.1.0 needs the older setuptools.
    openmmlab) VENV=$ROOT/.venv-openmmlab MMCV_NAME=mmcv SETUPTOOLS="setuptools<81" ;;
    *) die "unknown stack '$STACK': choose onedl or openmmlab" ;;
  esac
  [[ -z $LOWEST ]] || VENV+=-lowest
  PY=$VENV/bin/python
  STAMPS=$VENV/.imb_det
  # The pins of a stack stand in pyproject.toml alone.
  MMCV=$(sed -n "s/.*\"\($MMCV_NAME==[^\"]*\)\".*/\1/p" "$ROOT/pyproject.toml")
}

# ---------------------------------------------------- what the machine must have

PYTHON_CHECK='
import os, sys
if sys.version_info < (3, 10):
    sys.exit("is only Python %d.%d; 3.10 or newer is needed" % sys.version_info[:2])
import importlib.util, sysconfig
package = "python%d.%d" % sys.version_info[:2]
if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
    sys.exit("cannot make environments (on Debian: apt-get install %s-venv)" % package)
if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    sys.exit("has no C headers (on Debian: apt-get install %s-dev)" % package)
'

# Sets BASE_PYTHON: $PYTHON, else the first of the usual names that fits.
find_python() {
  local candidate reason="" first_reason=""
  local candidates=(python3 python3.13 python3.12 python3.11 python3.10)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    command -v "$candidate" >/dev/null || continue
    if reason=$("$candidate" -c "$PYTHON_CHECK" 2>&1); then
      BASE_PYTHON=$candidate
      return
    fi
    # A launcher of several Pythons may know a name and still not run it.
    [[ $reason == *$'\n'* || $reason == *"not found"* ]] ||
      first_reason=${first_reason:-$candidate $reason}
  done
  [[ -z ${PYTHON:-} ]] || die "PYTHON=$PYTHON does not work: ${first_reason:-not found}"
  die "no usable Python: ${first_reason:-none found; install Python 3.10 or newer}"
}

check_compiler() {
  # Not through a pipe: a compiler that ends before it has read would break it.
  "${CXX:-g++}" -x c++ -fsyntax-only - <<<'int main() { return 0; }' 2>/dev/null ||
    die_without_compiler
}

die_without_compiler() {
  die "no C++ compiler: ${CXX:-g++} does not work, and mmcv must be compiled" \
    "(on Debian: apt-get install g++)"
}

check_disk() {
  local free_kb
  free_kb=$(df -Pk "$ROOT" | awk 'NR == 2 { print $4 }')
  ((free_kb >= NEEDED_GB * 1024 * 1024)) ||
    die "not enough disk: $((free_kb / 1024)) MB free in $ROOT, $NEEDED_GB GB needed"
}

# ------------------------------------------------------------------------ steps

# A step is done when its stamp holds the key of what it was done for.
step_done() { [[ -f $STAMPS/$1 && $(<"$STAMPS/$1") == "$2" ]]; }
mark_done() { printf '%s\n' "$2" >"$STAMPS/$1"; }
forget_steps() { rm -f "$STAMPS"/{base,mmcv,packages,shipped,checked}; }

digest() { sha256sum | cut -c1-16; }

# One digest of the names and contents of files and folders (relative to ROOT).
digest_of() {
  (cd "$ROOT" && find "$@" -type f -not -path '*/__pycache__/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum) | digest
}

# Prints a line a minute for as long as this script lives.
heartbeat() {
  local minutes=0 second never
  exec {never}<> <(:)
  while true; do
    for ((second = 0; second < 60; second++)); do
      read -rt 1 -u "$never" || true
      kill -0 $$ 2>/dev/null || return 0
    done
    printf '    ... %d min\n' $((++minutes))
  done
}

stop_heartbeat() {
  [[ -z ${HEARTBEAT:-} ]] || kill "$HEARTBEAT" 2>/dev/null || true
  HEARTBEAT=""
}

# pip_install STEP ARGUMENTS...: quiet, with a log, and one clear line on failure.
# Build isolation is off for all: mmcv must see torch, the rest needs no download then.
pip_install() {
  local log=$STAMPS/$1.log status=0
  shift
  heartbeat &
  HEARTBEAT=$!
  "$PY" -I -m pip install --no-input --disable-pip-version-check --retries 2 \
    --no-build-isolation "$@" >"$log" 2>&1 || status=$?
  stop_heartbeat
  ((status == 0)) || explain_pip_failure "$log"
}

NETWORK_ERRORS='NewConnectionError|NameResolutionError|Max retries exceeded'
NETWORK_ERRORS+='|Failed to establish a new connection|Network is unreachable'
NETWORK_ERRORS+='|ConnectTimeout|ReadTimeout|ProxyError|SSLError|[Cc]onnection broken'

explain_pip_failure() {
  local log=$1 line
  if grep -q 'No space left on device' "$log"; then
    die "the disk is full (details: $log)"
  elif grep -qE "(unable to execute|command) '[^']*(g\+\+|c\+\+|gcc|cc)'.*No such file" \
    "$log"; then
    die_without_compiler
  elif grep -q 'CUDA_HOME' "$log"; then
    die "torch sees a GPU, but the CUDA toolkit (nvcc) that mmcv needs is missing: set" \
      "CUDA_HOME, or CUDA_VISIBLE_DEVICES= to build for the CPU (details: $log)"
  elif grep -qE 'Killed signal|std::bad_alloc|virtual memory exhausted' "$log"; then
    die "the compiler ran out of memory: try again with MAX_JOBS=1 (details: $log)"
  elif grep -qE "$NETWORK_ERRORS" "$log"; then
    die "pip cannot reach its package index: check the network, the proxy and" \
      "'pip config list', then run this again (details: $log)"
  fi
  line=$(grep -iE '(^|[^a-z])error:' "$log" | tail -n 1) || line=$(tail -n 1 "$log")
  die "pip failed: ${line:-no message} (details: $log)"
}

# Also true for an environment that the user has made: it is kept and completed.
venv_works() {
  "$PY" -I -c 'import sys, importlib.metadata as m
sys.exit(sys.version_info < (3, 10) or not m.files("pip"))' 2>/dev/null &&
    { step_done venv made || "$PY" -I -m pip --version >/dev/null 2>&1; }
}

make_venv() {
  if ! venv_works && [[ -f $VENV/pyvenv.cfg ]] &&
    ! { "$PY" -I -m ensurepip >/dev/null 2>&1 && venv_works; }; then
    say "${VENV##*/} is incomplete or its Python is gone: making it anew"
    rm -rf "$VENV"
  fi
  if ! venv_works; then
    say "Making ${VENV##*/} with $("$BASE_PYTHON" -V 2>&1): some seconds"
    "$BASE_PYTHON" -m venv "$VENV" >/dev/null ||
      die "$BASE_PYTHON cannot make an environment in $VENV (see the lines above)"
  fi
  if ! step_done venv made; then
    mkdir -p "$STAMPS"
    mark_done venv made
  fi
}

install_base() {
  local key="$TORCH $SETUPTOOLS"
  step_done base "$key" && return
  say "Installing torch ${TORCH#*==} and the build tools: 1 to 3 minutes," \
    "longer where torch comes with CUDA"
  pip_install base "$TORCH" "$SETUPTOOLS" wheel packaging ninja psutil "hatchling>=1.27"
  mark_done base "$key"
}

# As many compilers as there are cores, and 2 GB of free memory for each.
compiler_jobs() {
  local cores fits
  cores=$(nproc)
  fits=$(awk '/^MemAvailable/ { print int($2 / 2097152) }' /proc/meminfo)
  echo $((fits < 1 ? 1 : fits < cores ? fits : cores))
}

install_mmcv() {
  step_done mmcv "$MMCV $TORCH" && return
  say "Installing ${MMCV/==/ }: compiling takes about 7 minutes on 2 cores," \
    "pip's cache of an earlier build some seconds"
  export MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(compiler_jobs)}
  pip_install mmcv --no-deps "$@" "$MMCV"
  mark_done mmcv "$MMCV $TORCH"
}

# The lower bounds of pyproject.toml as pins, all but those of the build and of torch,
# with which mmcv is built.
lowest_versions() {
  sed -n '/^\[project\]/,/^\[tool\./s/^ *"\([a-z][a-z0-9-]*\)>=\([0-9.]*\)".*/\1==\2/p' \
    "$ROOT/pyproject.toml" | grep -vE '^(torch|hatchling)=='
}

install_packages() {
  local key constraints=()
  key="$(digest_of pyproject.toml) $ROOT"
  step_done packages "$key" && return
  say "Installing imb_det and what it needs: 1 to 2 minutes, some seconds if present"
  if [[ -n $LOWEST ]]; then
    lowest_versions >"$STAMPS/lowest.txt"
    constraints=(--constraint "$STAMPS/lowest.txt")
  fi
  pip_install packages "${constraints[@]}" "$TORCH" "$SETUPTOOLS" -e ".[$STACK,dev]"
  mark_done packages "$key"
  mark_done shipped "$(digest_of configs tools)"
}

# An editable install holds copies of configs/ and tools/: renewed when they change.
# mmengine's maintained fork looks in the checkout instead: links, which are never old.
ship_configs() {
  local key name
  mkdir -p "$ROOT/imb_det/.mim"
  for name in configs tools configs/model-index.yml; do
    ln -sfn "../../$name" "$ROOT/imb_det/.mim/${name##*/}"
  done
  key=$(digest_of configs tools)
  step_done shipped "$key" && return
  say "Renewing the installed copy of configs/ and tools/: some seconds"
  pip_install shipped --no-deps -e .
  mark_done shipped "$key"
}

# check_env ARGUMENTS...: sets PROBLEM to its line and returns its exit code.
check_env() {
  local status=0
  PROBLEM=$("$PY" -I "$ROOT/tools/check_env.py" "$@" 2>&1) || status=$?
  PROBLEM=${PROBLEM##*$'\n'}
  return $status
}

# mmcv may come from pip's cache as built for another torch, or without operators.
require_operators() {
  check_env --operators-only && return
  say "$PROBLEM: building mmcv again"
  "$PY" -I -m pip cache remove "${MMCV_NAME//-/_}-*" >/dev/null 2>&1 || true
  rm -f "$STAMPS/mmcv"
  check_compiler
  install_mmcv --force-reinstall
  check_env --operators-only || die "$PROBLEM, also after building it again"
}

install_all() {
  install_base
  if ! step_done mmcv "$MMCV $TORCH"; then
    install_mmcv
    require_operators
  fi
  install_packages
  ship_configs
}

# True where nothing at all is to do; 0.3 seconds.
environment_ready() {
  step_done venv made && step_done base "$TORCH $SETUPTOOLS" &&
    step_done mmcv "$MMCV $TORCH" && [[ -f $STAMPS/packages && -f $STAMPS/checked ]] &&
    venv_works
}

# Two of these at once (a quick start and the tests, say) wait for each other.
lock_environment() {
  command -v flock >/dev/null || return 0
  exec {LOCK}>"$VENV.lock"
  flock -n "$LOCK" || {
    say "Waiting for another script that is preparing ${VENV##*/}"
    flock "$LOCK"
  }
}

prepare_environment() {
  local status=0
  [[ -n $MMCV ]] || die "pyproject.toml pins no version of $MMCV_NAME"
  cd "$ROOT"
  lock_environment
  trap stop_heartbeat EXIT
  trap 'say "Interrupted: run this again to go on"; exit 130' INT
  if ! environment_ready; then
    find_python
    check_compiler
    check_disk
    make_venv
  fi
  # The first round finds damage before pip takes it for installed, the last is clean.
  check_env --stamp "$STAMPS/checked" || status=$?
  if ((status == 3)); then
    say "Repairing ${VENV##*/}, $PROBLEM"
    forget_steps
    [[ $PROBLEM != *" pip"* ]] || "$PY" -I -m ensurepip >/dev/null
  fi
  install_all
  status=0
  check_env --stamp "$STAMPS/checked" || status=$?
  if ((status == 4)); then
    require_operators
    status=0
    check_env --stamp "$STAMPS/checked" || status=$?
  fi
  ((status == 0)) || die "$PROBLEM"
  trap - EXIT INT TERM
  [[ -z ${LOCK:-} ]] || exec {LOCK}>&-
  say "Environment ready: ${VENV##*/} (stack $STACK)"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  parse_stack "$@"
  ((${#REST[@]} == 0)) || die "unknown argument '${REST[0]}'; see --help"
  prepare_environment
fi
