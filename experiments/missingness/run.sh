#!/usr/bin/env bash
# The table in README.md. XBAYES_DATA names the folder of the catalogue.
set -euo pipefail
cd "$(dirname "$0")/../.."
.venv/bin/python -c 'from xbayes.cli.app import main; main()' compare \
  configs/chandra_sources_plain.yaml experiments/missingness/{ignored,every_property}.yaml \
  experiments/missingness/{plain,plain_ignored,plain_every_property}.yaml \
  --out runs/missingness --set seed=53 "$@"
exec .venv/bin/python experiments/compare_sources/table.py runs/missingness
