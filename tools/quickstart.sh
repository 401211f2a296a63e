#!/usr/bin/env bash
# From a fresh clone to a report: prepares the environment, generates the embedded
# long-tailed digits, trains a RetinaNet without any sampling heuristic on them,
# evaluates it and writes the report. Interrupt it and run it again as you like: it goes
# on where it was, and repeats nothing that is finished.
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

CONFIG=configs/sampling_free/retinanet_r18_fpn_sampling-free_longtail-digits.py
DATA=data/longtail_digits

parse_stack "$@"
FRESH=no
for argument in "${REST[@]}"; do
  [[ $argument == --fresh ]] || die "unknown argument '$argument'; see --help"
  FRESH=yes
done
WORK=work_dirs/quickstart
[[ $STACK == onedl ]] || WORK+=-$STACK

# has FILE TEXT: true where the file holds exactly this.
has() { [[ -f $1 && $(<"$1") == "$2" ]]; }

make_data() {
  say "Generating the long-tailed digits in $DATA, unless they are there: some seconds"
  "$PY" tools/make_longtail_digits.py --out "$DATA" ||
    die "no data: see above; '$PY tools/make_longtail_digits.py --out $DATA --force'" \
      "makes them anew"
}

# Results of other settings are moved aside, never resumed from and never overwritten.
enter_work_dir() {
  local number=1
  if [[ -e $WORK ]] && { [[ $FRESH == yes ]] || ! has "$WORK/.settings" "$KEY"; }; then
    while [[ -e $WORK.$number ]]; do ((++number)); done
    say "Moving the results of an earlier training to $WORK.$number"
    mv "$WORK" "$WORK.$number"
  fi
  mkdir -p "$WORK"
  printf '%s\n' "$KEY" >"$WORK/.settings"
}

train() {
  [[ -f $WORK/.trained ]] && return
  if [[ -f $WORK/last_checkpoint ]]; then
    say "Going on with the interrupted training in $WORK: at most 8 minutes on 2 cores"
  else
    say "Training $CONFIG in $WORK: about 8 minutes on 2 cores"
  fi
  "$PY" tools/train.py "$CONFIG" --work-dir "$WORK" --resume
  touch "$WORK/.trained"
}

evaluate() {
  local checkpoint
  [[ -f $WORK/.evaluated && -f $WORK/predictions.npz ]] && return
  say "Evaluating the last checkpoint: about 1 minute"
  checkpoint=$(<"$WORK/last_checkpoint")
  "$PY" tools/test.py "$CONFIG" "$WORK/${checkpoint##*/}" --work-dir "$WORK" \
    --out "$WORK/predictions.npz"
  touch "$WORK/.evaluated"
}

prepare_environment
make_data
KEY=$(digest_of "$DATA/manifest.json" configs/_base_ configs/sampling_free)
enter_work_dir
train
evaluate
say "Writing the report"
"$PY" tools/report.py "$WORK"
say "Done. Logs, checkpoints and the report are in $WORK"
