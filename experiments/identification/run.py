"""How well counterparts are identified on the simulated sky, and what wrong ones cost.

.venv/bin/python experiments/identification/run.py [--sources 3000] [--seed 0] [--out FIGURE.png]
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from astropy.table import vstack
from field import RADIUS, Field, covariance, field_around, with_entries

import xbayes
from xbayes.enhance.associations import Associations
from xbayes.enhance.matching import MatchOptions, apply, learn
from xbayes.enhance.pairs import Positions
from xbayes.enhance.shifted import p_any_cut
from xbayes.enhance.sky import galactic_of
from xbayes.simulate.catalog import simulate_catalog

CONFIG = Path(__file__).parents[2] / "configs/demo.yaml"
ERRORS = {"Chandra": 0.0, "XMM": 1.5}  # arcsec, added to the errors of the simulated sky
VARIANTS = {
    "all catalogues, magnitudes": MatchOptions(),
    "all catalogues, positions alone": None,
    "all catalogues, score not learned": MatchOptions(learn_score=False),
    "all catalogues, field objects apart": MatchOptions(joint_field=False),
    "all catalogues, secure counterparts teach": MatchOptions(secure=0.9),
    "Gaia alone, magnitudes": MatchOptions(),
}
BINS = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0001])
RATE = 0.1


def sky(number: int, seed: int):
    """Sources in the plane (|b| < 5 deg) and at the poles (|b| > 60 deg)."""
    parts, kinds = [], []
    drawn = simulate_catalog(14 * number, seed)
    b = np.abs(galactic_of(Positions(ra=np.asarray(drawn["ra"]), dec=np.asarray(drawn["dec"])))[1])
    for kind, rows in (("plane", b < 5), ("pole", b > 60)):
        chosen = np.flatnonzero(rows)[:number]
        parts.append(drawn[chosen])
        kinds += [kind] * len(chosen)
    return vstack(parts), np.array(kinds)


def matched(field: Field, empty: Field, name: str) -> tuple[Associations, np.ndarray, Field]:
    """The probabilities, and p_any where no source is."""
    options = VARIANTS[name] or MatchOptions()
    fields = [field, empty]
    if name.startswith("Gaia"):
        fields = [f._replace(near=f.near[:1], truth=f.truth[:1], columns=f.columns) for f in fields]
    if VARIANTS[name] is None:
        fields = [f._replace(near=tuple(n._replace(features={}) for n in f.near)) for f in fields]
    own = covariance(field)
    learned = learn(field.place, own, fields[0].near, RADIUS, options)
    found = apply(own, fields[0].near, learned)
    return found, apply(own, fields[1].near, learned).p_any, fields[0]


def is_right(field: Field, found: Associations) -> np.ndarray:
    """Whether all members of a hypothesis are entries of the source's counterpart."""
    truth = np.stack(field.truth, 1)[found.source]
    return ((found.members < 0) | (found.members == truth)).all(1)


def entries_of(field: Field, found: Associations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The source of every entry of every catalogue, its probability, and whether it is right."""
    source = [near.entries.source for near in field.near]
    right = [t[s] == np.arange(len(s)) for s, t in zip(source, field.truth, strict=True)]
    return np.concatenate(source), np.concatenate(found.p_entry), np.concatenate(right)


def calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """Mean absolute difference of rate and probability over the bins, weighted with p."""
    bins = np.digitize(p, BINS)
    gaps = np.abs(np.bincount(bins, p) - np.bincount(bins, right))
    return float(gaps.sum() / p.sum())


def identification_rows(name: str, field: Field, kind: np.ndarray, empty: Field) -> dict:
    """Print the rows of a variant for both places; return what the figure shows."""
    found, shifted, field = matched(field, empty, name)
    best = found.best()
    right_of = np.zeros(len(kind), bool)
    right_of[found.source[best]] = is_right(field, found)[best]
    listed = (np.stack(field.truth, 1) >= 0).any(1)
    source, p, right = entries_of(field, found)
    shown = {}
    for place in ("plane", "pole"):
        here, rows = kind == place, kind[source] == place
        cut = p_any_cut(shifted[here], RATE)
        kept = here & (found.p_any >= cut)
        completeness = (kept & right_of)[here & listed].mean()
        purity = right_of[kept].mean()
        given = (found.p_any >= cut)[here & ~listed]
        error = calibration_error(p[rows], right[rows])
        print(
            f"| {name} | {place} | {cut:.3f} | {100 * completeness:.1f} | {100 * purity:.1f} | "
            f"{100 * given.mean():.0f} of {len(given)} | {100 * error:.1f} |"
        )
        shown[place] = (found.p_any[here], right_of[here], listed[here], p[rows], right[rows])
    return shown | {"found": found}


def draw(shown: dict[str, dict], out: Path) -> None:
    """Completeness and purity against the cut, and the reliability of the probabilities."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 8), constrained_layout=True)
    for row, mission in enumerate(shown):
        for place, colour in (("plane", "C3"), ("pole", "C0")):
            p_any, right, listed, joint, joint_right = shown[mission][place]
            cuts = 1 / (1 + np.exp(-np.linspace(-5, 7, 200)))
            kept = p_any >= cuts[:, None]
            complete = (kept & right).sum(1) / listed.sum()
            pure = (kept & right).sum(1) / np.maximum(kept.sum(1), 1)
            axes[row, 0].plot(cuts, complete, color=colour, label=f"completeness, {place}")
            axes[row, 0].plot(cuts, pure, color=colour, ls="--", label=f"purity, {place}")
            bins = np.digitize(joint, BINS)
            n = np.bincount(bins, minlength=len(BINS) + 1)
            ok = n >= 20
            mean = np.bincount(bins, joint, len(BINS) + 1)[ok] / n[ok]
            rate = np.bincount(bins, joint_right, len(BINS) + 1)[ok] / n[ok]
            error = np.sqrt(np.maximum(mean * (1 - mean), 1e-4) / n[ok])
            axes[row, 1].errorbar(
                mean, rate, error, fmt="o", ms=4, color=colour, capsize=2, label=place
            )
        axes[row, 0].set_xscale("logit")
        axes[row, 0].set(xlabel="p_any cut", ylabel="share", title=f"{mission}: best counterparts")
        axes[row, 1].plot([0, 1], [0, 1], color="0.7", lw=1, zorder=0)
        axes[row, 1].set(
            xlabel="probability that an entry is the counterpart", ylabel="share that is",
            title=f"{mission}: reliability",
        )  # fmt: skip
        for axis in axes[row]:
            axis.legend(fontsize=8)
    figure.savefig(out, dpi=110)


def log_loss(table, truth: np.ndarray) -> np.ndarray:
    """Of each row; probabilities are clipped at 1e-6."""
    classes = table.meta["CLASSES"].split(",")
    p = np.stack([np.asarray(table[f"p_{c}"], float) for c in classes], 1)
    p = np.clip(p, 1e-6, None)
    p /= p.sum(1, keepdims=True)
    return -np.log(p[np.arange(len(p)), [classes.index(c) for c in truth]])


def cost_rows(fit, mission: str, field: Field, kind: np.ndarray, found, shifted) -> None:
    """Print the log loss with true, best, accepted and averaged counterparts."""
    truth = np.asarray(field.sources["Class"]).astype(str)
    number = np.arange(len(truth))
    members = {"true": np.stack(field.truth, 1)}
    best = found.best()
    members["best candidate, always"] = np.full_like(members["true"], -1)
    members["best candidate, always"][found.source[best]] = found.members[best]
    cut = np.where(
        kind == "plane", *[p_any_cut(shifted[kind == p], RATE) for p in ("plane", "pole")]
    )
    accepted = (found.p_any >= cut)[:, None]
    members["best candidate, p_any above the cut"] = np.where(
        accepted, members["best candidate, always"], -1
    )
    losses = {
        name: log_loss(fit.classify(with_entries(field, number, m), id="row"), truth)
        for name, m in members.items()
    }
    averaged = averaged_table(fit, field, found)
    losses["average over candidates, weighted with p"] = log_loss(averaged, truth)
    for name, loss in losses.items():
        cells = []
        for place in ("plane", "pole"):
            here = kind == place
            change = (loss - losses["true"])[here]
            error = change.std() / np.sqrt(len(change))
            cells.append(f"{loss[here].mean():.3f} | {change.mean():+.3f} ± {error:.3f}")
        print(f"| {mission} | {name} | {' | '.join(cells)} |")


def averaged_table(fit, field: Field, found: Associations):
    """The posteriors of each source, averaged over its hypotheses and none."""
    from astropy.table import Table

    from xbayes.enhance.averaging import average_over_counterparts

    joint = found.p_any[found.source] * found.p_i
    kept = joint > 1e-3
    n = len(found.p_any)
    source = np.concatenate([found.source[kept], np.arange(n)])
    members = np.concatenate([found.members[kept], np.full((n, found.members.shape[1]), -1)])
    weight = np.concatenate([joint[kept], 1 - found.p_any])
    rows = fit.classify(with_entries(field, source, members), id="row")
    hypotheses = Table({"counterpart_row": source, "counterpart_weight": weight})
    return average_over_counterparts(rows, hypotheses)


def main() -> None:
    """Print the tables of the README and draw its figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0, help="another one gives another sky")
    parser.add_argument("--out", type=Path, default=Path("runs/identification.png"))
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore", xbayes.XbayesWarning)
    shift = 1000 * given.seed
    sources, kind = sky(given.sources, seed=shift + 11)
    shown, fields = {}, {}
    for mission, error in ERRORS.items():
        field = field_around(sources, kind, error, seed=shift + 1)
        empty = field_around(sources, kind, error, seed=shift + 2, counterparts=False)
        print(f"\n{mission}: position errors {np.median(field.sigma):.2f} arcsec (median)\n")
        print("| matching | place | cut | completeness % | purity % | false matches % | ECE % |")
        print("|---|---|---|---|---|---|---|")
        for name in VARIANTS:
            result = identification_rows(name, field, kind, empty)
            if name == next(iter(VARIANTS)):
                shown[mission] = result
        fields[mission] = (field, empty)
    given.out.parent.mkdir(exist_ok=True)
    draw(shown, given.out)
    folder = Path(tempfile.mkdtemp())
    fit = xbayes.run(
        CONFIG, catalog=xbayes.simulate(6000, seed=shift + 21), out=folder / "run",
        set=["catalog.block=null", "validation.bootstrap=2"],
    )  # fmt: skip
    print("\n| errors | counterparts | log loss, plane | change | log loss, pole | change |")
    print("|---|---|---|---|---|---|")
    for mission, (field, empty) in fields.items():
        found, shifted, _ = matched(field, empty, next(iter(VARIANTS)))
        cost_rows(fit, mission, field, kind, found, shifted)


if __name__ == "__main__":
    main()
