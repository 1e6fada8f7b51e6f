"""What the leakage audit says: one shape for every check, so that gate, report and model card read the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "severe"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the leakage audit looked at, and what it saw."""

    check: str
    """Stable name; the gate accepts a severe finding by it, or by ``check:column`` for each of its columns."""
    severity: Severity
    columns: tuple[str, ...]
    value: float | None
    """What was measured."""
    limit: float | None
    """Where it becomes a concern."""
    text: str
    """One to three sentences for a person."""
