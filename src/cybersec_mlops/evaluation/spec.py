"""What an evaluation is asked to do. Settings only: nothing in here computes, and nothing heavy is imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(gt=0.0, lt=1.0)]


class GateSpec(BaseModel):
    """When a model may become champion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_false_positive_rate_ratio: float = Field(default=3.0, gt=0.0)
    """Achieved over nominal false-positive rate; refused when the whole 95 % interval lies above it."""
    max_false_positive_rate: Rate | None = None
    """An absolute limit on the achieved rate; where it is given it is used instead of the ratio."""
    metric: Literal["average_precision", "roc_auc"] = "average_precision"
    """What "better" means when challenger and champion score the same rows."""
    min_difference: float = Field(default=0.0, ge=0.0, lt=1.0)
    """The challenger's lead must be above this over the whole 95 % interval."""
    accepted_findings: tuple[str, ...] = ()
    """Severe findings that do not refuse promotion: ``check`` or ``check:column``."""


class EvaluationSpec(BaseModel):
    """How a model is evaluated.

    >>> EvaluationSpec(prevalence=0.01).gate.metric
    'average_precision'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=500, ge=50, le=10_000)
    """Bootstrap resamples behind every interval."""
    prevalence: Rate = 0.001
    """Share of attacks in traffic at which precision is stated: test sets hold far more attacks than networks do."""
    fixed_false_positive_rates: tuple[Rate, ...] = (0.001, 0.01, 0.05)
    """Recall is also given at these rates of the test set itself."""
    leakage_audit: bool = True
    leakage_rows: int = Field(default=20_000, ge=1_000, le=1_000_000)
    """Rows of each side that the leakage audit's own models see (a seeded sample)."""
    leave_one_attack_out: bool = False
    """Train again without each attack in turn, to see whether it would be found: one more fit per attack."""
    top_alerts: int = Field(default=10, ge=0, le=100)
    """Alerts shown as examples in the report."""
    gate: GateSpec = GateSpec()
