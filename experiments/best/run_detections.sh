#!/usr/bin/env bash
# The table of the detections in README.md: run_detections.sh random|blocks. The best readable model against the peers,
# which get its properties, on folds of whole groups or of contiguous blocks of the sky. XBAYES_DATA names the folder of
# the catalogue; further arguments go to 'xbayes compare' (--resume).
set -euo pipefail
cd "$(dirname "$0")/../.."
split=$1
shift
exec .venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
  configs/chandra_detections_best.yaml \
  --peers-on configs/chandra_detections_best.yaml --peer all \
  --set seed=81 --set validation.split="$split" --out "runs/best_detections_$split" "$@"
