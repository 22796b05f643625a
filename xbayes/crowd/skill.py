"""The skill of volunteers: how often they are right, and how much more often than by chance."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.crowd.model import Population

INTERVAL = (0.05, 0.95)  # of the 90 % intervals


class Skill(NamedTuple):
    """The skill of U volunteers, with 90 % intervals; NaN without posterior samples."""

    right: Float[np.ndarray, "U"]  # probability of the right answer
    right_interval: Float[np.ndarray, "U 2"]
    corrected: Float[np.ndarray, "U"]  # 1: always right, 0: as often as by chance
    corrected_interval: Float[np.ndarray, "U 2"]


def chance_corrected(
    right: Float[np.ndarray, "*S U"], chance: Float[np.ndarray, "*S U"]
) -> Float[np.ndarray, "*S U"]:
    """(right - chance) / (1 - chance), the kappa of Cohen (1960)."""
    return (right - chance) / np.maximum(1 - chance, 1e-12)


def over_difficulty(
    matrix: Float[np.ndarray, "U C A"], population: Population
) -> Float[np.ndarray, "U C A"]:
    """The matrices for a source of which it is not known whether it is hard."""
    guessed = float(population.hard_share * population.guess_rate)
    return (1 - guessed) * matrix + guessed * np.asarray(population.guess)


def skill_of(
    matrix: Float[np.ndarray, "U C A"], proportions: Float[np.ndarray, "C"]
) -> tuple[Float[np.ndarray, "U"], Float[np.ndarray, "U"]]:
    """The probability of the right answer, and of being right by chance.

    Both are for a source drawn from the class proportions. By chance: the same frequencies of
    answers, whatever the class.
    """
    n_classes = len(proportions)
    right = np.einsum("ucc,c->u", matrix[:, :, :n_classes], proportions)
    answers = np.einsum("uca,c->ua", matrix, proportions)
    return right, answers[:, :n_classes] @ proportions


def point_skill(matrix: Float[np.ndarray, "U C A"], proportions: Float[np.ndarray, "C"]) -> Skill:
    """The skill from point estimates, without intervals."""
    right, chance = skill_of(matrix, proportions)
    unknown = np.full((len(right), 2), np.nan)
    return Skill(
        right=right,
        right_interval=unknown,
        corrected=chance_corrected(right, chance),
        corrected_interval=unknown,
    )


def sampled_skill(
    right: Float[np.ndarray, "S U C"],
    answers: Float[np.ndarray, "S U A"],
    proportions: Float[np.ndarray, "S C"],
) -> Skill:
    """The mean skill and its 90 % interval over posterior samples."""
    n_classes = proportions.shape[1]
    being_right = np.einsum("suc,sc->su", right, proportions)
    chance = np.einsum("suc,sc->su", answers[:, :, :n_classes], proportions)
    corrected = chance_corrected(being_right, chance)
    return Skill(
        right=being_right.mean(0),
        right_interval=np.quantile(being_right, INTERVAL, axis=0).T,
        corrected=corrected.mean(0),
        corrected_interval=np.quantile(corrected, INTERVAL, axis=0).T,
    )
