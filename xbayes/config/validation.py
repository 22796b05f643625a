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

    split: Literal["random", "blocks"] = Field(
        default="random",
        description="How outer and inner folds are made; groups are never split. random: at "
        "random, stratified by class. blocks: contiguous runs of rows in the order of the file, so "
        "that a file sorted by position gives parts of the sky; the seed sets where the first one "
        "begins.",
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
