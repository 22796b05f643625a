#!/usr/bin/env bash
# The tables in README.md. XBAYES_DATA names the folder of the catalogue; --resume continues a stopped run.
set -euo pipefail
cd "$(dirname "$0")/../.."
for which in sweep published; do
  .venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
    "experiments/cluster_number/$which.yaml" --out "runs/cluster_number_$which" --set seed=53 "$@"
  .venv/bin/python experiments/compare_sources/table.py "runs/cluster_number_$which"
done
