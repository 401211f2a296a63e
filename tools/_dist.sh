# shellcheck shell=bash
# Shared by dist_train.sh and dist_test.sh: starts a script once per rank.

# A python that sees torch: $PYTHON, else the active one, else this checkout's .venv.
find_torch_python() {
  local candidate
  for candidate in "${PYTHON:-}" python "$ROOT/.venv/bin/python"; do
    if [[ -n $candidate ]] && command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))' \
        2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  echo "error: no python with torch found: activate the environment, or set PYTHON" >&2
  return 1
}

# dist_launch RANKS SCRIPT [ARGUMENTS]
dist_launch() {
  local ranks=$1 script=$2 python
  shift 2
  if ! [[ $ranks =~ ^[1-9][0-9]*$ ]]; then
    echo "error: the number of GPUs (ranks a machine) must be 1 or more, got '$ranks'" >&2
    return 2
  fi
  python=$(find_torch_python) || return
  # torch.distributed.run would set this too, after a warning; without it the ranks of
  # one machine spend their time waiting for each other's threads.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$ranks" \
    "$script" "$@" --launcher pytorch
}
