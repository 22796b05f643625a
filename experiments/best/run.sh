#!/usr/bin/env bash
# The comparison for sources in README.md: the best explainable model and the default against four third-party
# classifiers that get the features of the best config. XBAYES_DATA names the folder of the catalogue; further
# arguments go to 'xbayes compare' (--resume).
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
  configs/chandra_sources.yaml \
  configs/chandra_sources_plain.yaml \
  --peers-on configs/chandra_sources.yaml \
  --peer lightgbm --peer hist_gradient_boosting --peer explainable_boosting --peer random_forest \
  --set seed=74 --set validation.repeats=3 --out runs/best_sources "$@"
