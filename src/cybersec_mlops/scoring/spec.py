"""What a scoring is asked to do. Light on purpose (pydantic only): the command line imports it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScoringSpec(BaseModel):
    """Parameters of a scoring; all but `out` are part of the key of its result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default="champion", min_length=1)
    """``champion``, ``challenger``, a version's number, the ``uri`` of a bundle, or a bundle's file."""

    per_day: int | None = Field(default=None, ge=1)
    """At most so many alerts for each day (UTC) of the connections, the highest scores first; None for all."""

    reasons: int = Field(default=5, ge=0, le=20)
    """Features that explain an alert."""

    out: str | None = None
    """Where the alerts are delivered beside EVAL: a file or ``s3://`` object, ``.ndjson`` or ``.parquet``."""
