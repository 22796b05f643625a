#!/usr/bin/env bash
# The table in README.md: all variants and third-party classifiers on the real Chandra sources, on the same folds.
# XBAYES_DATA names the folder of the catalogue; further arguments go to 'xbayes compare' (--resume).
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
  experiments/compare_sources/published.yaml \
  configs/chandra_sources_plain.yaml \
  experiments/compare_sources/property.yaml \
  experiments/compare_sources/joint.yaml \
  experiments/compare_sources/clusters_published.yaml \
  experiments/compare_sources/bayes.yaml \
  --peers-on configs/chandra_sources_plain.yaml --peer all \
  --out runs/compare_sources --set seed=51 "$@"
