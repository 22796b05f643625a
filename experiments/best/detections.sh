#!/usr/bin/env bash
# The best model of the detections against third-party classifiers, in README.md: detections.sh random|blocks. Three draws of
# folds of whole groups, or three cuts of the sky into contiguous blocks. The third-party classifiers get the same
# features, folds, decision rule and calibration. XBAYES_DATA names the folder of the catalogue; further arguments go to
# 'xbayes compare' (--resume, --peer NAME).
set -euo pipefail
cd "$(dirname "$0")/../.."
split=$1
shift
exec .venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
  configs/chandra_detections.yaml \
  --peer random_forest --peer hist_gradient_boosting --peer lightgbm \
  --set seed=81 --set validation.repeats=3 --set validation.split="$split" \
  --out "runs/detections_$split" "$@"
