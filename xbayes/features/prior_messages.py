"""Warnings about a prior that depends on the source."""

from collections.abc import Iterator

from astropy.table import Table

from xbayes.config.schema import Config
from xbayes.features.expression import Call, Column, Constant, Node, parse
from xbayes.features.functions import NAMED
from xbayes.features.prior import SourcePrior, expressions_of_prior


def prior_messages(table: Table, config: Config, prior: SourcePrior | None) -> list[str]:
    """The warnings about the prior of a training catalogue."""
    if prior is None:
        return []
    constant = constant_prior_text(prior.n_constant, len(table), prior.reasons)
    return [*([constant] if prior.n_constant else []), *_read_twice(config)]


def constant_prior_text(n_constant: int, n_rows: int, reasons: tuple[str, ...] = ()) -> str:
    """How many sources have the constant prior, and why."""
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return (
        f"the prior of {n_constant} of {n_rows} sources cannot be computed{why}; they get the "
        "constant prior (model.constant_prior)"
    )


def _read_twice(config: Config) -> list[str]:
    """A warning that names the features whose expression is a part of the prior too."""
    parts = {k for e in expressions_of_prior(config).values() for k in _parts(e.root)}
    twice = [
        name
        for name, feature in config.features.items()
        if _key(_without_scale(parse(feature.expression).root)) in parts
    ]
    if not twice:
        return []
    many = len(twice) > 1
    return [
        f"model.prior contains the expression of the feature{'s' * many} {', '.join(twice)}, so "
        "that the same evidence may count twice; leave the feature out, or take it out of "
        "model.prior"
    ]


def _without_scale(node: Node) -> Node:
    """The node without a logarithm or an absolute value around it."""
    scales = [NAMED[name] for name in ("log10", "log", "abs")]
    while isinstance(node, Call) and node.function in scales:
        node = node.args[0]
    return node


def _parts(node: Node) -> Iterator[tuple]:
    yield _key(node)
    if not isinstance(node, Column | Constant):
        for arg in node.args:
            yield from _parts(arg)


def _key(node: Node) -> tuple:
    """The node without its place in the text."""
    if isinstance(node, Column):
        return ("column", node.name)
    if isinstance(node, Constant):
        return ("constant", node.value)
    head = node.function if isinstance(node, Call) else node.ufuncs
    return (head, *map(_key, node.args))
