#!/usr/bin/env bash
# The table in README.md: all variants and third-party classifiers on the real Chandra detections, group folds.
# XBAYES_DATA names the folder of the catalogue; further arguments go to 'xbayes compare' (--resume).
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
  configs/chandra_detections_published.yaml \
  configs/chandra_detections_plain.yaml \
  experiments/compare_detections/assignment.yaml \
  configs/chandra_detections_joint.yaml \
  experiments/compare_detections/independent.yaml \
  experiments/compare_detections/bayes.yaml \
  --peers-on configs/chandra_detections_plain.yaml --peer all \
  --out runs/compare_detections --set seed=51 "$@"
