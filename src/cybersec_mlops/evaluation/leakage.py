"""What the leakage audit found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "severe"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the leakage audit looked at, and what it saw."""

    check: str
    """Stable name, e.g. ``known_shortcut``; with a column, ``known_shortcut:unsw_sttl`` accepts that one finding."""
    severity: Severity
    columns: tuple[str, ...]
    value: float | None
    """What was measured."""
    limit: float | None
    """Where it becomes a concern."""
    text: str
    """One or two sentences for a person."""
