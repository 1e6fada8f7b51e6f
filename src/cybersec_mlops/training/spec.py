"""What a training is asked to do: every choice that changes the resulting bundle, and nothing about where things are.

This module is light on purpose (pydantic only): the command line imports it to describe its options.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingSpec(BaseModel):
    """The choices of a training; equal inputs, spec and code give a bundle of equal SHA-256.

    >>> TrainingSpec().nominal_false_positive_rate
    0.01
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of every random choice."""

    nominal_false_positive_rate: float = Field(default=0.01, gt=0, lt=0.5)
    """The rate among benign rows at which the active threshold is set."""

    alerts_per_day: float | None = Field(default=None, gt=0)
    """A budget instead of a rate; needs training rows with time, from which connections per day are counted."""

    supervised: Literal["auto", "never"] = "auto"
    """``auto`` trains gradient boosting where there are labels, ``never`` gives the benign-only detector."""

    shortcuts: Literal["drop", "keep"] = "drop"
    """What to do with the features that are known shortcuts of the format (the caller hands them in)."""

    drop_features: tuple[str, ...] = ()
    """Further columns that the model may not see."""

    split: Literal["auto", "time", "stratified"] = "auto"
    """``auto`` splits by time where the rows have time, else stratified with identical rows on one side."""

    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    """Share of rows held out for the evaluation."""

    calibration_fraction: float = Field(default=0.2, gt=0, le=0.5)
    """Share of the benign training rows that no fitted part sees and that the thresholds come from."""

    categories: int = Field(default=24, ge=1, le=256)
    """One-hot columns per text feature; rarer values share the column ``other``."""

    trees: int = Field(default=150, ge=1, le=10_000)
    depth: int = Field(default=6, ge=1, le=16)
    learning_rate: float = Field(default=0.1, gt=0, le=1)

    supervised_weight: float = Field(default=1.25, gt=0, le=10)
    """What the supervised surprise counts beside the benign-only one, where both are summed (ADR 0012)."""

    threads: int | None = Field(default=None, ge=1)
    """Threads of the fit; None takes what this process may use. The model does not depend on it (measured: equal
    bytes with 1, 2, 3 and 4 threads on 120,000 and 1,000,000 rows, XGBoost 3.2 ``hist``), the time does."""

    novelty_rows: int = Field(default=100_000, ge=1_000)
    """Benign rows that the novelty detector learns from at most; a seeded sample is drawn of more."""

    novelty_trim: float = Field(default=0.1, ge=0, lt=0.5)
    """Where no row has a label: share of rows, the most isolated, that the novelty detector is not fitted on."""

    hidden: tuple[Annotated[int, Field(ge=1, le=4_096)], ...] = Field(default=(64, 16, 64), min_length=1, max_length=7)
    """Widths of the autoencoder's hidden layers."""

    epochs: int = Field(default=20, ge=1, le=1_000)
    """Passes of the autoencoder over its rows; fewer where there are many rows (see `fit_autoencoder`)."""

    prototypes: int = Field(default=1024, ge=1, le=8_192)
    """Typical benign rows that distances are measured to."""

    tune: int = Field(default=0, ge=0, le=500)
    """Settings to try beside the given ones (see `tuning`); 0 trains with the given ones."""
