#!/usr/bin/env bash
# From a fresh clone to a table: prepares the environment, generates the embedded
# long-tailed digits, fine-tunes two detectors on them, one plainly and one with a sampler
# and a classifier of this library, evaluates and compares them. Interrupt it and run it
# again as you like: it goes on where it was, and repeats nothing that is finished.
#
# Usage: bash tools/quickstart.sh [--stack onedl|openmmlab] [--fresh]
#
#   --stack NAME   onedl: the maintained fork of MMDetection; openmmlab: mmdet 3.3.0
#   --fresh        train anew although a training is finished
#   -h, --help     show this text
#
# First run: about 15 minutes on 2 CPU cores (half of it compiles mmcv), 6 GB of disk.
# For what the environment variables PYTHON, CXX and MAX_JOBS do, see setup_env.sh -h.
set -euo pipefail
# shellcheck source=tools/setup_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

EXPERIMENT=configs/experiments/quickstart.py
DATA=data/longtail_digits

parse_stack "$@"
FRESH=no
for argument in "${REST[@]}"; do
  [[ $argument == --fresh ]] || die "unknown argument '$argument'; see --help"
  FRESH=yes
done
WORK=work_dirs/quickstart
[[ $STACK == onedl ]] || WORK+=-$STACK

make_data() {
  say "Generating the long-tailed digits in $DATA, unless they are there: some seconds"
  "$PY" tools/make_longtail_digits.py --out "$DATA" ||
    die "no data: see above; '$PY tools/make_longtail_digits.py --out $DATA --force'" \
      "makes them anew"
}

# Results of an earlier time are moved aside, never overwritten.
move_aside() {
  local number=1
  [[ -e $WORK ]] || return 0
  while [[ -e $WORK.$number ]]; do ((++number)); done
  say "Moving the results of an earlier time to $WORK.$number"
  mv "$WORK" "$WORK.$number"
}

prepare_environment
make_data
[[ $FRESH == no ]] || move_aside
say "Training and evaluating two detectors in $WORK: 5 minutes on 2 cores"
"$PY" tools/run_experiment.py "$EXPERIMENT" --work-dir "$WORK" --processes 2
say "Done. Each folder $WORK/digits/*/seed_0 has logs, checkpoints and a report"
