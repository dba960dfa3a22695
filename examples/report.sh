#!/usr/bin/env bash
# The report on NTU ML2020 homework 9, redone: three networks, for each a CSV, the validation
# embedding and six reconstructions, and for the baseline the curve of twelve checkpoints.
#
#   examples/report.sh FOLDER [OUT]     FOLDER holds trainX.npy, valX.npy and valY.npy; hours
#   examples/report.sh --quick [OUT]    500 built-in images, one small network, to see it run
set -euo pipefail

if [ "${1:-}" = --quick ]; then
    images=demo:scenes-val val_images=demo:scenes-val val_labels=demo:scenes-val
    quick=yes recipes=baseline
elif [ -d "${1:-}" ]; then
    images=$1/trainX.npy val_images=$1/valX.npy val_labels=$1/valY.npy
    quick="" recipes="baseline vae deep"
else
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
out=${2:-report}
mkdir -p "$out"

for recipe in $recipes; do
    run=$out/$recipe
    aeclust train "$images" --recipe "$recipe" --run "$run" --resume \
        ${quick:+--epochs 1 --batch-size 128 --set channels=8,16,32} \
        --val-images "$val_images" --val-labels "$val_labels"
    aeclust predict --run "$run" > "$out/$recipe.csv"
    aeclust plot "$val_images" --labels "$val_labels" --run "$run" -o "$out/$recipe-validation.png"
    aeclust reconstruct --idx 1,2,3,6,7,9 --run "$run" -o "$out/$recipe-reconstruction.png"
done
aeclust checkpoint-curve --run "$out/baseline" -o "$out/baseline-curve.png"
