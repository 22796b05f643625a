"""The published form of Tranin et al. 2022, by loops over sources, classes and properties.

Written from the formulas alone (docs/published_form.md) and independent of the package: pure Python
and NumPy, as the paper writes the form and as the code of its authors computes it.
"""

import math
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import KernelDensity


class Property(NamedTuple):
    """One property of a source: its category, and the classes whose latitude is half cos b."""

    category: str
    cosine_for: tuple[int, ...] = ()


class Form(NamedTuple):
    """What a user sets, and what is known of the training sources."""

    properties: dict[str, Property]
    alpha: dict[str, float]
    alpha_null: float
    prior: list[float]
    train: dict[str, list[float]]  # scaled values, NaN where missing
    truth: list[int]


def paper_posterior(form: Form, source: dict[str, float]) -> list[float]:
    """P(c | D) = P(c) (prod over t of L(t|c)^alpha_t)^(1 / sum alpha), normalised."""
    score = []
    for c, prior in enumerate(form.prior):
        log_likelihood = 0.0
        for name, p in form.properties.items():
            log_likelihood += form.alpha[p.category] * _paper_log(form, name, c, source[name])
        score.append(math.log(prior) + log_likelihood / sum(form.alpha.values()))
    return _softmax(score)


def paper_outlier(form: Form, source: dict[str, float]) -> float:
    """O.M. = -log(P(c) prod over t of L(t|c)^(alpha_t / sum alpha)), c the predicted class."""
    posterior = paper_posterior(form, source)
    c = posterior.index(max(posterior))
    measure = -math.log(form.prior[c])
    for name, p in form.properties.items():
        share = form.alpha[p.category] / sum(form.alpha.values())
        measure -= share * _paper_log(form, name, c, source[name])
    return measure


def _paper_log(form: Form, name: str, c: int, value: float) -> float:
    """log of P(present|c) L(value|c), or alpha_null log P(missing|c)."""
    members = [v for v, t in zip(form.train[name], form.truth, strict=True) if t == c]
    present = sum(not math.isnan(v) for v in members) / len(members)
    if math.isnan(value):
        return form.alpha_null * math.log(_floor(1 - present, len(members)))
    return math.log(_floor(present, len(members))) + _paper_log_density(form, name, c, value)


def _paper_log_density(form: Form, name: str, c: int, value: float) -> float:
    known = [v for v in form.train[name] if not math.isnan(v)]
    mine = [v for v, t in zip(form.train[name], form.truth, strict=True) if t == c]
    mine = [v for v in mine if not math.isnan(v)]
    low, high, n_bins = min(known), max(known), 101
    step = (high - low) / (n_bins - 1)  # bins are centred on these points
    centres = [low + b * step for b in range(n_bins)]
    if len(set(known)) < 10:
        height = [sum(round((v - low) / step) == b for v in mine) for b in range(n_bins)]
    else:
        width = (high - low) / (5 * len(known) ** 0.2)
        height = [sum(math.exp(-abs(x - v) / width) for v in mine) for x in centres]
    height = [h / sum(height) for h in height]
    if c in form.properties[name].cosine_for:
        cosine = [max(math.cos(math.radians(x)), 0.0) for x in centres]
        pairs = zip(height, cosine, strict=True)
        height = [0.5 * h + 0.5 * k / sum(cosine) for h, k in pairs]
    position = (value - low) / step
    if not -0.5 < position < n_bins - 0.5:
        return 0.0
    return math.log(_floor(height[round(position)], len(mine)))


def _floor(height: float, n: int) -> float:
    return (height + 0.01 / n) / (1 + 0.02 / n)


def code_posterior(form: Form, source: dict[str, float]) -> list[float]:
    """The form of the authors' code, with exponents 40 alpha_t / (sum alpha (2 n_good + ...))."""
    good = [name for name in form.properties if not math.isnan(source[name])]
    size = 2 * len(good) + form.alpha_null * (len(form.properties) - len(good))
    posterior = np.array(form.prior)
    for category, alpha in form.alpha.items():
        exponent = 40 * alpha / (sum(form.alpha.values()) * size)
        for c in range(len(posterior)):
            likelihood = 1.0
            for name, p in form.properties.items():
                if p.category == category:
                    likelihood *= _code_likelihood(form, name, c, source[name])
            posterior[c] *= likelihood**exponent
    return (posterior / posterior.sum()).tolist()


def _code_likelihood(form: Form, name: str, c: int, value: float) -> float:
    member = np.array(form.truth) == c
    mine = np.array(form.train[name])[member]
    present = (np.isfinite(mine).sum() / member.sum() + 0.001) / 1.002
    if math.isnan(value):
        return (1 - present) ** form.alpha_null
    known = np.array(form.train[name])[np.isfinite(form.train[name])]
    mine = mine[np.isfinite(mine)]
    x1 = float(f"{known.max():.1e}")
    x0 = x1 - float(f"{known.max() - known.min():.1e}")
    dx = (x1 - x0) / 100
    edges = np.linspace(x0 - dx, x1 + dx, 100)  # of 99 bins
    centres = (edges[:-1] + edges[1:]) / 2
    if len(np.unique(mine)) < 10:
        height = np.histogram(mine, edges)[0].astype(float)
    else:
        kernel = KernelDensity(
            bandwidth=(x1 - x0) / (5 * len(known) ** 0.2), kernel="exponential", rtol=0, atol=0
        )
        height = np.exp(kernel.fit(mine[:, None]).score_samples(centres[:, None]))
    height = height / height.sum()
    if c in form.properties[name].cosine_for:
        cosine = np.maximum(np.cos(np.radians(centres)), 0)
        height = 0.5 * height + 0.5 * cosine / cosine.sum()
    height = (height + 0.01 / 99) / (1 + 0.02 / 99)
    height = height / height.sum()
    return present * np.interp(value, centres, height, left=1, right=1)


def _softmax(score: list[float]) -> list[float]:
    weight = [math.exp(s - max(score)) for s in score]
    return [w / sum(weight) for w in weight]
