"""The interface of every log format: what a reader is given and what it gives back.

A format is one file with one class that has this shape, and one entry in `cybersec_mlops.ingestion.readers`. Nothing
in here knows a format, a store or a file name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, PROVENANCE_SCHEMA, REJECTED_SCHEMA

BATCH_BYTES: Final = 16 << 20
"""How much of a decompressed file is worked on at once, by default: 16 MiB (twice as much is slower and needs more)."""

HEAD_BYTES: Final = 1 << 20
"""How much of a decompressed file a format is recognised from: 1 MiB."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a decompressed file."""

    data: bytes
    """At most `HEAD_BYTES` bytes."""
    complete: bool
    """Whether this is the whole file."""
    tail: bytes = b""
    """The end of a file that says there what it is (Parquet); empty for all others."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """A file is of a format."""

    format: str
    """The reader's name."""
    variant: str
    """Which of the format's forms: "tsv", "json", "cic2017-improved", ..."""
    has_time: bool
    """Whether its connections have a start time."""
    ignored: tuple[str, ...] = ()
    """Columns of the file that are not read."""
    notes: tuple[str, ...] = ()
    """What a person should know about how it is read."""
    shared: tuple[bytes, ...] = ()
    """What reading the run's other files of this format may need: NetFlow's templates."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file is of a format's family and still cannot be used."""

    message: str
    """What it is, expected against found."""
    hint: str
    """What to do about it."""
    line: int | None = None
    """The line that shows it, from 1."""
    passable: bool = False
    """A sound file of something else, or without rows: in a folder it is passed over, by itself it is an error."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file; ``read == rows.height + rejected.height + sum(skipped.values())``.

    Headers and comments are not rows and are not counted.
    """

    rows: pl.DataFrame
    """`batch_schema` of the reader: canonical columns, labels, ``raw_line``, the format's native columns."""
    rejected: pl.DataFrame
    """`REJECTED_ROWS`: rows that break the format's rules, in the order of their lines."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Rows that a rule passes over, by reason: "blank_line", "repeated_header", "other_stream:dns"."""
    nulled: Mapping[str, int] = field(default_factory=dict)
    """Native values that cannot be, or stand for "not known", and became null in rows that are kept, by column."""

    @property
    def read(self) -> int:
        """How many rows of the file this accounts for."""
        return self.rows.height + self.rejected.height + sum(self.skipped.values())


REJECTED_ROWS: Final[dict[str, pl.DataType]] = {
    name: dtype for name, dtype in REJECTED_SCHEMA.items() if name != "raw_sha256"
}
"""Columns of a rejected row, as far as a reader knows them."""


class Reader(Protocol):
    """One log format.

    A reader keeps nothing between files: any number of files may be read with one at the same time.
    """

    @property
    def name(self) -> str:
        """The format's name: ``zeek_conn``, ``cicflowmeter``, ``kdd99``, ``nsl_kdd``, ``unsw_nb15``."""

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """Columns that the format has beside the canonical ones: name, with the format as prefix, to dtype."""

    @property
    def has_time(self) -> bool:
        """Whether connections of this format have a start time (`Recognition.has_time` says it of one file)."""

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """Feature columns that are known to give the label away in the format's public data sets, and why."""

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Say whether a file of this beginning is of this format; None when it is something else altogether."""

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a decompressed file in bounded memory.

        Parameters
        ----------
        stream : BinaryIO
            The decompressed bytes, at their beginning.
        source : str
            The file's name, for errors only.
        batch_bytes : int
            How many bytes become one batch; the rows do not depend on it.

        Yields
        ------
        Batch
            At least one row, rejected row or skipped row each, in the order of the file.

        Raises
        ------
        DataError
            The file is not of this format.
        """


def batch_schema(reader: Reader) -> dict[str, pl.DataType]:
    """Return the columns of the rows that `reader` gives, in their order."""
    return {
        **CONNECTION_SCHEMA,
        **LABEL_SCHEMA,
        "raw_line": PROVENANCE_SCHEMA["raw_line"],
        **reader.native_columns,
    }


MAX_RULES: Final = 1_000
"""Rules by which rows were passed over that are counted apart: some hold a word of the log."""
OTHER_RULES: Final = "other_rules"


def add_skipped(total: MutableMapping[str, int], part: Mapping[str, int]) -> None:
    """Add to the rows passed over by rule; rules beyond `MAX_RULES` are counted together.

    >>> total = {"blank_line": 1}
    >>> add_skipped(total, {"blank_line": 2, "other_stream:dns": 3})
    >>> total
    {'blank_line': 3, 'other_stream:dns': 3}
    """
    for name, count in part.items():
        known = name in total or len(total) < MAX_RULES
        total[name if known else OTHER_RULES] = total.get(name if known else OTHER_RULES, 0) + count
