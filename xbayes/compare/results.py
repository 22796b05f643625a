"""The results of a comparison, from which its files and its report are written."""

import os
import time
from typing import NamedTuple

import jax

from xbayes.compare.plan import Plan, shown_catalog
from xbayes.compare.predictions import VariantPredictions
from xbayes.compare.scores import score_variants
from xbayes.output.posterior_file import compare_posteriors
from xbayes.output.run_directory import software_versions


class Comparison(NamedTuple):
    """The results of a comparison, before they are written."""

    plan: Plan
    predictions: dict[str, VariantPredictions]  # of the finished variants, in order
    numbers: dict  # the content of compare.json
    command: str  # repeats the comparison


def make_comparison(
    plan: Plan, predictions: dict[str, VariantPredictions], command: str, seconds: float
) -> Comparison:
    """Scores, paired differences and provenance of the finished variants."""
    finished = [variant for variant in plan.variants if variant.name in predictions]
    numbers = score_variants(
        predictions, plan.labels, plan.classes, plan.focus, plan.bootstrap, plan.folds.seed
    )
    for variant in finished:
        numbers["variants"][variant.name] |= {
            "kind": variant.kind,
            "origin": variant.origin.name,
            "settings": variant.settings,
        }
    samples = {v.name: v.origin / "posterior.nc" for v in finished if v.kind == "run"}
    samples = {name: path for name, path in samples.items() if path.exists()}
    numbers |= {
        "partial": [v.name for v in plan.variants if v.name not in predictions],
        "folds": plan.folds._asdict(),
        "provenance": _provenance(plan, seconds),
        "psis_loo": compare_posteriors(samples) if len(samples) > 1 else [],
    }
    return Comparison(plan=plan, predictions=predictions, numbers=numbers, command=command)


def _provenance(plan: Plan, seconds: float) -> dict:
    return software_versions() | {
        "catalog": shown_catalog(plan.catalog, names=True),
        "catalog_sha256": plan.sha256,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": str(jax.devices()[0].device_kind),
        "cores": os.cpu_count(),
        "seconds": round(seconds, 1),
        "warnings": list(plan.warnings),
    }
