"""The errors that reach a person: one base, four children, no deeper.

A message says what, where, expected against found; the hint says what to do. Only the CLI turns an error into an exit
code, and only a `PlatformError` is ever worth a retry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CybersecMlopsError(Exception):
    """Base of every error that this package raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what, where, expected against found.
    hint : str
        What the reader can do about it.
    """

    exit_code = 1
    kind = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when the error crosses a process (Dask, process pools)."""
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(kind: type[CybersecMlopsError], message: str, state: dict[str, object]) -> CybersecMlopsError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class ConfigError(CybersecMlopsError):
    """A flag, a setting or a configuration file is wrong."""

    exit_code = 2
    kind = "config"


class DataError(CybersecMlopsError):
    """The data is missing, unreadable, or not what the phase needs.

    Parameters
    ----------
    message, hint : str
        As in the base class; `source` and `line` are put in front of the message as ``source:line:``.
    source : str, optional
        The file or object that is at fault.
    line : int, optional
        The line in the decompressed original, counted from 1.
    field : str, optional
        The column at fault.
    counts : mapping of str to int, optional
        How many rows, by reason.
    """

    exit_code = 3
    kind = "data"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        source: str | None = None,
        line: int | None = None,
        field: str | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        where = "" if source is None else f"{source}: " if line is None else f"{source}:{line}: "
        super().__init__(f"{where}{message}", hint=hint)
        self.source = source
        self.line = line
        self.field = field
        self.counts = dict(counts or {})


class PlatformError(CybersecMlopsError):
    """The store, the database or the orchestrator did not answer as it should: worth retrying."""

    exit_code = 4
    kind = "platform"


class GateError(CybersecMlopsError):
    """The model was refused; everything about it is kept for reading."""

    exit_code = 5
    kind = "gate"


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an error as the JSON that the audit and the command line show.

    >>> describe_error(DataError("no rows", source="conn.log", hint="look"))
    {'kind': 'data', 'message': 'conn.log: no rows', 'hint': 'look'}
    """
    if isinstance(error, CybersecMlopsError):
        return {"kind": error.kind, "message": error.message, "hint": error.hint or None}
    if isinstance(error, Exception):
        return {"kind": "internal", "message": f"{type(error).__name__}: {error}", "hint": None}
    return {
        "kind": "interrupted",
        "message": str(error) or type(error).__name__,
        "hint": "the next run goes on where this one ended",
    }
