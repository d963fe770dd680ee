#!/usr/bin/env bash
# From a fresh clone to a trained DIC: installs, trains a hourglass and, from it, the embedded default (synthetic faces, no
# download of data), tests it, restores a few faces that it has not seen, and a photograph with the shipped weights, and
# prints the measures and where the pictures are.
#   bash scripts/quickstart.sh            about 15 minutes on 2 CPU cores; a GPU is used when there is one
#   bash scripts/quickstart.sh --smoke    the same path in about a minute: a few iterations, so no useful network
# Can be run again: a finished training is not repeated, an unfinished one is resumed. DIC_VENV: see setup_env.sh.
# DIC_ROOT names another folder than the repository for experiments/ and results/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD
venv=${DIC_VENV:-.venv}
say() { echo "[quickstart] $*"; }

name_in() { sed -n 's/^name: *\([A-Za-z0-9_-]*\).*/\1/p' "$1"; }
hourglass_name=$(name_in options/train_hourglass.yml)
train_name=$(name_in options/train_DIC.yml)
test_name=$(name_in options/test_DIC.yml)
smoke=()
test_changes=()
case "${1:-}" in
    '') ;;
    --smoke)
        hourglass_name=${hourglass_name}_smoke
        train_name=${train_name}_smoke
        test_name=${test_name}_smoke
        smoke=(train:total_iter=4 val:val_freq=1000 logger:print_freq=1 logger:save_checkpoint_freq=2
            datasets:train:num_images=16 datasets:train:batch_size_per_gpu=2 datasets:val:num_images=2)
        test_changes=(--force_yml "name=$test_name" datasets:test:num_images=4
            "path:pretrain_network_g=experiments/$train_name/models/net_g_latest.pth")
        ;;
    *) echo "usage: bash scripts/quickstart.sh [--smoke]" >&2; exit 2 ;;
esac

bash scripts/setup_env.sh </dev/null
bin=$(cd "$venv/bin" && pwd)
mkdir -p "${DIC_ROOT:-.}"
cd "${DIC_ROOT:-.}"

# train OPTIONS NAME CHANGES..: unless it is trained already. dic-train is `python basicsr/train.py` with the current
# folder as root; dic-test likewise.
train() {
    local options=$1 experiment=experiments/$2
    shift 2
    if [ -f "$experiment/models/net_g_latest.pth" ]; then
        say "already trained: $experiment (remove it to train anew)"
        return
    fi
    local resume=()
    if compgen -G "$experiment/training_states/*.state" >/dev/null; then
        say "resuming the training in $experiment"
        resume=(--auto_resume)
    else
        say "training in $experiment"
    fi
    "$bin/dic-train" -opt "$repository/options/$options" ${resume[@]+"${resume[@]}"} \
        --force_yml "name=${experiment##*/}" "$@" ${smoke[@]+"${smoke[@]}"} </dev/null
}

train train_hourglass.yml "$hourglass_name"
# the hourglass knows faces already: it waits until the recovery branch shows it some
train train_DIC.yml "$train_name" "path:pretrain_network_hourglass=experiments/$hourglass_name/models/net_g_latest.pth" \
    path:param_key_hourglass=params_ema train:release_hourglass_iter=100

say "testing"
"$bin/dic-test" -opt "$repository/options/test_DIC.yml" ${test_changes[@]+"${test_changes[@]}"} </dev/null

log=$(ls -t "results/$test_name"/test_*.log | head -n 1)
say "measured (whole log: $PWD/$log):"
# The model logs its table as one message: "By step:" and indented lines.
awk '/INFO: /{found = 0} found && NF; /INFO: By step:/{found = 1}' "$log"
say "pictures: $PWD/results/$test_name/visualization"

# What one does with trained weights: scripts/inference_dic.py, on files.
say "restoring faces of 16x16 pixels"
faces=results/$test_name/inference
"$bin/python" -m dic_plugin.cli.synthetic "$faces/input" --num 4 --seed 3 --scale 8 </dev/null
"$bin/python" "$repository/scripts/inference_dic.py" -i "$faces/input" -w "experiments/$train_name/models/net_g_latest.pth" \
    --aligned --visualise -o "$faces" </dev/null
say "restored faces: $PWD/$faces/faces; step by step: $PWD/$faces/strips"

# What needs no training: a photograph, and the weights that are shipped.
say "restoring a photograph of 64x64 pixels, scikit-image's astronaut, with the shipped weights"
photo=results/$test_name/photograph
mkdir -p "$photo"
"$bin/python" - "$photo/astronaut.png" <<'PYTHON'
import sys
from PIL import Image
from skimage import data
Image.fromarray(data.astronaut()).resize((64, 64), Image.Resampling.BICUBIC).save(sys.argv[1])
PYTHON
"$bin/dic-infer" -i "$photo/astronaut.png" --paste-back --visualise -o "$photo" </dev/null
say "restored photograph: $PWD/$photo/photos/astronaut.png"
