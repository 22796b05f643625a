"""Checks of the prior and of given weights against the classes and categories of a config."""

from collections.abc import Mapping, Sequence

from xbayes.config.checks import Problem, did_you_mean, proportion_problems, quoted
from xbayes.config.model import ModelConfig


def prior_problems(model: ModelConfig, classes: Sequence[str]) -> list[Problem]:
    """Problems of `prior` and `constant_prior`."""
    expressions, constant = model.expressions_of_prior, model.constant_prior
    if not expressions:
        problems = _of_proportions("prior", model.prior, classes)
        if constant != "training":
            text = "needs an expression in model.prior; give proportions as model.prior"
            problems.append(Problem(("constant_prior",), text))
        return problems
    problems = [
        Problem(("prior", name), f"no such class{did_you_mean(name, classes, 'classes are')}")
        for name in expressions
        if name not in classes
    ]
    lacking = [name for name in classes if name not in expressions]
    if lacking:
        name, text = next((n, e) for n, e in expressions.items() if isinstance(e, str))
        found = f"a proportion must be a number; found {text!r}; or, for a prior that depends on "
        found += "the source, give a number or an expression for every class: none for "
        problems.append(Problem(("prior", name), found + quoted(lacking)))
    problems += [
        Problem(("prior", name), f"a number must be at least 0; found {value}")
        for name, value in expressions.items()
        if not isinstance(value, str) and not value >= 0
    ]
    return problems + _of_proportions("constant_prior", constant, classes)


def _of_proportions(
    key: str, given: str | Mapping[str, float | str], classes: Sequence[str]
) -> list[Problem]:
    if isinstance(given, str):
        return []
    shares = {name: float(share) for name, share in given.items()}
    return [
        Problem((key, *problem.path), problem.message)
        for problem in proportion_problems(shares, classes)
    ]


def alpha_problems(alpha: Mapping[str, float], categories: Sequence[str]) -> list[Problem]:
    """Problems of given weights that must name every category, and no other."""
    problems = [
        Problem(
            ("model", "alpha", name),
            f"no feature has this category{did_you_mean(name, categories, 'categories are')}",
        )
        for name in alpha
        if name not in categories
    ]
    lacking = [name for name in categories if name not in alpha]
    if lacking:
        text = f"needs a weight for every category; none for {quoted(lacking)}"
        problems.append(Problem(("model", "alpha"), text))
    return problems
