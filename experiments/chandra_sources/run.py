"""Held-out scores on the real Chandra sources: experiments/chandra_sources/run.py [OUT]."""

import json
import sys
from pathlib import Path

from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.tasks.precision import use_precision
from xbayes.tasks.run import run_experiment

CONFIGS = Path(__file__).parents[2] / "configs"
VARIANTS = {
    "smooth densities, weight matrix": ("chandra_sources_plain.yaml", []),
    "the same, with the F1 rule": ("chandra_sources_plain.yaml", ["decision=f1"]),
    "the same, weights for F1": ("chandra_sources_plain.yaml", ["model.objective=f1"]),
    "weights by feature and class": (
        "chandra_sources_plain.yaml",
        ["model.weights=property_class"],
    ),
    "weights by feature": ("chandra_sources_plain.yaml", ["model.weights=property"]),
    "weights by category": ("chandra_sources_plain.yaml", ["model.weights=category"]),
    "published form, as the paper writes it": ("chandra_sources_published.yaml", []),
    "published form, as the code computes it": ("chandra_sources_published_code.yaml", []),
}
SCORES = {
    "XRB F1": ("f1", "XRB"),
    "CV F1": ("f1", "CV"),
    "log loss": ("log_loss",),
    "ECE": ("ece",),
}


def cell(block: dict, path: tuple[str, ...]) -> str:
    """Value and 90 % interval of one score."""
    for key in path:
        block = block[key]
    return f"{block['value']:.3f} ({block['lo']:.3f}-{block['hi']:.3f})"


def main(out: Path) -> None:
    """Run every variant below `out` and print the table."""
    lines = [f"| variant | {' | '.join(SCORES)} |", "|---|" + "---|" * len(SCORES)]
    for number, (name, (file, settings)) in enumerate(VARIANTS.items()):
        config = load_config(CONFIGS / file, settings)
        use_precision(config)
        run = run_experiment(config, out=out / str(number), overwrite=True, progress=Reporter())
        held_out = json.loads((run / "metrics.json").read_text())["cross_validated"]
        lines.append(f"| {name} | {' | '.join(cell(held_out, p) for p in SCORES.values())} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/chandra_sources"))
