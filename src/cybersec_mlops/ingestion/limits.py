"""How much of a hostile input is too much: every limit in one place, part of a run's spec as ``[limits]``.

Whoever is on the network writes part of every log. What goes beyond a limit is an error that names the file, or a row
that is set aside with its reason; nothing is cut silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MIB: Final = 1 << 20
Positive = Annotated[int, Field(gt=0)]


class Limits(BaseModel):
    """What is too much.

    >>> Limits(max_line_bytes=4 * MIB).max_columns
    2000
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_files: Positive = 100_000
    """Files that the sources of a run may stand for."""
    max_decompressed_bytes: Positive = 1 << 40
    """Decompressed bytes of one compressed file: 1 TiB. A file that is not compressed has no limit."""
    max_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 200.0
    """Decompressed bytes per compressed byte. Logs reach 10 to 40; deflate cannot exceed 1,032."""
    ratio_free_bytes: Annotated[int, Field(ge=0)] = 256 * MIB
    """Decompressed bytes up to which the ratio is not looked at."""
    max_decoder_bytes: Annotated[int, Field(ge=MIB)] = 256 * MIB
    """Memory that an xz, lzma or zstd stream may ask of its decoder; zstd's window may have half of it."""
    max_line_bytes: Annotated[int, Field(gt=0, le=1 << 30)] = MIB
    """A longer line, or value of a JSON array, is set aside; no more of it than this is ever held in memory."""
    max_columns: Positive = 2_000
    """Columns in a header."""
    max_headers: Positive = 1_000
    """Different headers in one file."""


_DEFAULT: Final = Limits()
_CURRENT: Final = ContextVar("limits", default=_DEFAULT)


def current() -> Limits:
    """Return the limits that hold here: the defaults, unless `applied` says otherwise.

    Everything that reads a file asks this, so that no reader, a third party's included, can forget to pass them on.
    """
    return _CURRENT.get()


@contextmanager
def applied(limits: Limits | None) -> Iterator[None]:
    """Let limits hold for what is read inside; None leaves those that hold.

    >>> with applied(Limits(max_columns=3)):
    ...     current().max_columns
    3
    """
    token = _CURRENT.set(limits or current())
    try:
        yield
    finally:
        _CURRENT.reset(token)
