"""The sections of a config on another catalogue, on posterior samples and on validation."""

from typing import Literal

from pydantic import Field, model_validator

from xbayes.config.checks import Number, Problem, Proportions, Record, Switch, Whole, refuse


class TargetConfig(Record):
    """Another catalogue, to which the run will be applied. Its labels are not used."""

    file: str | None = Field(
        default=None,
        description="Path of that catalogue, relative to the folder of the config. Features that "
        "it does not have are left out of the model. ${VAR} stands for an environment variable.",
    )
    importance: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Power of the importance weights, by which labelled sources that resemble "
        "those of the target count for more. With 0 all count the same.",
    )

    @model_validator(mode="after")
    def _importance_needs_a_catalogue(self) -> "TargetConfig":
        if self.importance and self.file is None:
            text = "needs target.file, the catalogue that the weights are computed for"
            refuse([Problem(("importance",), text)])
        return self


class PosteriorConfig(Record):
    """How the posterior of densities and weights is sampled (variant: bayes)."""

    method: Literal["nuts", "svi", "laplace"] = Field(
        default="nuts",
        description="Posterior of the weights. nuts: Hamiltonian Monte Carlo. svi: variational "
        "inference with a normal. laplace: a normal with the curvature at the mode, in seconds.",
    )
    folds: Literal["laplace", "same"] = Field(
        default="laplace",
        description="Posterior of the weights in the fits of the cross-validation, which only "
        "classify the held-out sources. laplace: the normal at the mode, whose intervals are as "
        "well calibrated and which needs a fifth of the time of nuts. same: as method.",
    )
    chains: Whole = Field(
        default=4, ge=1, le=64, description="Number of chains. They run in parallel."
    )
    warmup: Whole = Field(default=500, ge=50, description="Number of warm-up steps of each chain.")
    draws: Whole = Field(default=500, ge=50, description="Number of draws stored from each chain.")
    thin: Whole = Field(
        default=2, ge=1, le=20, description="Number of steps of a chain per stored draw."
    )
    samples: Whole = Field(
        default=100,
        ge=20,
        le=2000,
        description="Number of joint posterior samples of densities and weights that give the "
        "probabilities and their intervals.",
    )
    densities: Switch = Field(
        default=True,
        description="Sample the class densities too, each with the weights that belong to it. With "
        "false only the weights are sampled.",
    )
    average: Literal["probability", "log_odds"] = Field(
        default="probability",
        description="Quantity whose mean over the samples gives the reported probabilities. With "
        "log_odds every prediction remains a sum of contributions, and model.terms and "
        "model.splines are allowed.",
    )


class WellCharacterised(Record):
    """Labelled sources with good data, which are also scored separately."""

    at_least: Whole = Field(default=2, ge=1, description="How many of the conditions must hold.")
    of: tuple[str, ...] = Field(
        min_length=1,
        description="Conditions over columns, such as observed(Gmag) or significance > 10. A "
        "condition with an empty value does not hold.",
    )

    @model_validator(mode="after")
    def _check(self) -> "WellCharacterised":
        if self.at_least > len(self.of):
            text = f"{self.at_least} of {len(self.of)} conditions can never hold; give more in of"
            refuse([Problem(("at_least",), text)])
        return self


class ValidationConfig(Record):
    """How the run is tested on held-out sources."""

    split: Literal["random", "blocks", "release"] = Field(
        default="random",
        description="How the folds are made; groups are never split. random: at random, stratified "
        "by class. blocks: whole cells of the sky; without coordinates contiguous runs of rows in "
        "the order of the file, and the seed sets where the first one begins. release: each "
        "release (catalog.block) is an outer fold, and the inner folds are random.",
    )
    inner_split: Literal["same", "random", "blocks"] = Field(
        default="same",
        description="How the inner folds are made, on which weights, calibration and decision rule "
        "are learned. same: as split. blocks: whole cells of the sky, so that the weights learn "
        "what the features tell about sources in other fields.",
    )
    cell: Number = Field(
        default=1.0,
        ge=0.01,
        le=58.6,
        description="Side in degrees of the cells of the sky that split: blocks keeps whole "
        "(HEALPix).",
    )
    harder: Literal["auto", "none", "blocks", "release"] = Field(
        default="auto",
        description="A second cross-validation with harder folds than split, shown beside it. "
        "auto: release if the catalogue names releases, else blocks if it has coordinates.",
    )
    harder_folds: Whole = Field(
        default=3, ge=2, description="Number of outer folds of harder: blocks."
    )
    folds: Whole = Field(default=5, ge=2, description="Number of outer folds.")
    inner_folds: Whole = Field(
        default=5, ge=2, description="Number of folds inside each training part."
    )
    repeats: Whole = Field(
        default=1, ge=1, description="Number of cross-validations, each with new outer folds."
    )
    proportions: Proportions | None = Field(
        default=None,
        description="Class proportions expected in the sky, for the prior-weighted scores.",
    )
    bootstrap: Whole = Field(
        default=1000, ge=1, description="Number of bootstrap samples for the intervals of scores."
    )
    well_characterised: WellCharacterised | None = Field(
        default=None,
        description="Sources with good data, which are also scored separately. null: no such "
        "scores.",
    )
