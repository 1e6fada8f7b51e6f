"""A mapping file: what the columns of a table of one's own mean, so that it can be read like any other format.

The file is TOML (`examples/mapping.toml` has every setting). This module reads and checks it; `mapped` reads tables by
it. Nothing in here looks at data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cybersec_mlops.connections import CONNECTION_SCHEMA, META_PREFIX
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.connection_rules import checked_zone
from cybersec_mlops.ingestion.rejected import printable

MAX_BYTES: Final = 256 << 10
"""A larger file is no mapping."""

TS_END: Final = "ts_end"
"""What a column with the end of the connection maps to: ``duration_s`` becomes the difference to ``ts``."""

TARGETS: Final = (*CONNECTION_SCHEMA, TS_END)
"""What a column can be mapped to."""

EPOCHS: Final = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0, "epoch_ns": 1e-3}
"""Time formats that are numbers: their unit in microseconds."""

_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
_BYTES: Final = {"B": 1.0, "bytes": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "kB": 1e3, "MB": 1e6}
_BITS: Final = {"GB": 1e9, "bit": 1 / 8, "kbit": 125.0, "Mbit": 125e3, "Gbit": 125e6}
UNITS: Final = _SECONDS | _BYTES | _BITS
"""Unit to its size in seconds or bytes."""

_TIMES: Final = frozenset({"ts", TS_END})
_SIZES: Final = frozenset({"orig_bytes", "resp_bytes", "missed_bytes", "orig_ip_bytes", "resp_ip_bytes"})
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_EXAMPLE: Final = "examples/mapping.toml has every setting; `cybersec-mlops inspect FILE` drafts one for a table"

Kind = Literal["number", "text", "boolean"]
DTYPES: Final[dict[str, pl.DataType]] = {"number": pl.Float64(), "text": pl.String(), "boolean": pl.Boolean()}


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError(f'"{printable(value, 40)}" is not a name: use a-z, 0-9 and "_", beginning with a letter')
    return value


def _zone(value: str) -> str:
    try:
        return checked_zone(value)
    except ConfigError as error:
        raise ValueError(error.message) from None


def _one_character(value: str) -> str:
    if len(value) != 1 or not value.isascii() or value in '\r\n"':
        raise ValueError("expected one ASCII character")
    return value


Word = Annotated[str, AfterValidator(_word)]
Zone = Annotated[str, AfterValidator(_zone)]
Character = Annotated[str, AfterValidator(_one_character)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MappedColumn(_Table):
    """What one column of the file means: exactly one of `to`, `native` and `meta`."""

    to: str | None = None
    """A canonical name, or ``ts_end``."""
    native: Word | None = None
    """Keep it as a feature under this name; the mapping's name goes before it."""
    meta: Word | None = None
    """Keep it under this name, never as a feature: row ids, rule names."""
    type: Kind = "number"
    """Of a native or meta column."""
    unit: str | None = None
    """Of a number: becomes seconds or bytes."""
    format: str | tuple[str, ...] | None = None
    """Of a time: ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``, ``iso`` (the default), or strptime patterns."""
    timezone: Zone | None = None
    """Of a time that does not say its zone; default: the mapping's."""
    values: dict[str, str] = {}
    """Other words for what the file says: ``{ EST = "SF" }``. What is not listed stays as it is."""
    optional: bool = False
    """Whether a file may lack it."""

    @model_validator(mode="after")
    def _check(self) -> MappedColumn:
        if sum(name is not None for name in (self.to, self.native, self.meta)) != 1:
            raise ValueError("expected exactly one of to, native and meta")
        if self.to is not None and self.to not in TARGETS:
            raise ValueError(f'"{printable(self.to, 40)}" is no canonical name; known are {", ".join(TARGETS)}')
        self._check_unit()
        self._check_format()
        return self

    def _check_unit(self) -> None:
        if self.unit is None:
            return
        if self.unit not in UNITS:
            raise ValueError(f'unknown unit "{printable(self.unit, 20)}"; known are {", ".join(UNITS)}')
        fits = self.to is None or (self.to == "duration_s" if self.unit in _SECONDS else self.to in _SIZES)
        if not fits or self.type != "number":
            raise ValueError(f'unit "{self.unit}" does not fit {self.to or "a column that is no number"}')

    def _check_format(self) -> None:
        if self.to not in _TIMES and (self.format is not None or self.timezone is not None):
            raise ValueError("format and timezone are for ts and ts_end")
        for pattern in self.patterns:
            if "%" not in pattern:
                known = ", ".join((*EPOCHS, "iso"))
                raise ValueError(f'format "{printable(pattern, 40)}": expected {known} or a pattern such as "%d.%m.%Y"')

    @property
    def formats(self) -> tuple[str, ...]:
        """How a time may be written."""
        return (self.format,) if isinstance(self.format, str) else self.format or ("iso",)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The strptime patterns among `formats`."""
        return tuple(one for one in self.formats if one not in EPOCHS and one != "iso")

    @property
    def factor(self) -> float:
        """What a number is multiplied with."""
        return UNITS[self.unit] if self.unit else 1.0


class LabelMapping(_Table):
    """Where labels are and what they mean; a file may lack the columns, its rows are unlabelled then."""

    column: str | None = None
    """The column with the label."""
    is_attack: str | None = None
    """A column that says whether it is an attack: 0/1, true/false, yes/no. Beside `column` the two must agree."""
    original: str | None = None
    """The column with the label as it was first written, where there is one."""
    benign: tuple[str, ...] = ()
    """Values that mean benign, beside those of `labels.BENIGN_WORDS`."""
    background: tuple[str, ...] = ()
    """Values that mean: nobody knows; beside "background"."""
    unlabelled: tuple[str, ...] = ("", "-")
    """Values that are no label."""
    names: dict[str, str] = {}
    """The attack's name for a value: ``{ "1" = "Port scan" }``. What is not listed is the name itself."""

    @model_validator(mode="after")
    def _check(self) -> LabelMapping:
        if self.column is None and self.is_attack is None:
            raise ValueError("expected column or is_attack")
        return self


class TableMapping(_Table):
    """A mapping file."""

    name: Word
    """Of the format that it makes; also the prefix of its native columns."""
    separator: Character = ","
    header: bool = True
    """Whether the first line of a table of separated values has the names."""
    names: tuple[str, ...] = ()
    """The names where there is no header line."""
    null_values: tuple[str, ...] = ("", "-", "NA", "N/A", "null", "NULL", "None", "nan", "NaN")
    """What stands for "not known", in every column."""
    decimal: Literal[".", ","] = "."
    """The decimal mark of numbers in text; the other one, blanks and ``'`` may group thousands."""
    encoding: Literal["utf-8", "cp1252"] = "utf-8"
    timezone: Zone | None = None
    """Of times that do not say theirs; default: ``timezone`` of ``[transformation]``."""
    columns: Annotated[dict[str, MappedColumn], Field(min_length=1)]
    """Column of the file to what it means."""
    constants: dict[str, str] = {}
    """Canonical name to the value that every row has: ``{ proto = "tcp" }``."""
    label: LabelMapping | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """Let ``src = "orig_h"`` stand for ``src = { to = "orig_h" }``."""
        columns = value.get("columns") if isinstance(value, dict) else None
        if not isinstance(columns, dict):
            return value
        long = {name: {"to": one} if isinstance(one, str) else one for name, one in columns.items()}
        return {**value, "columns": long}

    @model_validator(mode="after")
    def _check(self) -> TableMapping:
        if self.header == bool(self.names):
            raise ValueError("names are needed where header is false, and only there")
        targets = [*self.targets.values(), *self.constants]
        if twice := sorted({name for name in targets if targets.count(name) > 1}):
            raise ValueError(f"mapped to more than once: {', '.join(twice)}")
        if unknown := [name for name in self.constants if name not in CONNECTION_SCHEMA or name == "ts"]:
            raise ValueError(f"constants: {printable(unknown[0], 40)} is no canonical name that can be constant")
        if not set(self.targets.values()) & set(CONNECTION_SCHEMA):
            raise ValueError("no column is mapped to a canonical name, so there are no connections")
        if self.names and (unknown := [name for name in self.required if name not in self.names]):
            raise ValueError(f"columns that are not in names: {', '.join(unknown)}")
        return self

    @cached_property
    def targets(self) -> dict[str, str]:
        """Column of the file to the column that it becomes."""
        return {name: self._target(column) for name, column in self.columns.items()}

    def _target(self, column: MappedColumn) -> str:
        if column.to is not None:
            return column.to
        return f"{self.name}_{column.native}" if column.native else f"{META_PREFIX}{self.name}_{column.meta}"

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Columns that a file must have."""
        return tuple(name for name, column in self.columns.items() if not column.optional)

    @cached_property
    def native(self) -> dict[str, pl.DataType]:
        """Native columns: name to dtype."""
        found = {self._target(one): DTYPES[one.type] for one in self.columns.values() if one.to is None}
        return dict(sorted(found.items()))


def parse_mapping(data: bytes, *, source: str, taken: Iterable[str] = ()) -> TableMapping:
    """Read a mapping.

    Parameters
    ----------
    data : bytes
        The TOML.
    source : str
        The file's name, for errors.
    taken : iterable of str
        Names of formats that the mapping may not have.

    Raises
    ------
    ConfigError
        It is no TOML, or holds something unknown or impossible.
    """
    import tomllib  # compiles patterns: few runs have a mapping

    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source}: {len(data):,} bytes, a mapping has at most {MAX_BYTES:,}", hint=_EXAMPLE)
    try:
        mapping = TableMapping.model_validate(tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{source}: not TOML: {printable(str(error), 200)}", hint=_EXAMPLE) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(printable(str(part), 40) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source}: {f'{where}: ' if where else ''}{reason}", hint=_EXAMPLE) from None
    if mapping.name in set(taken):
        raise ConfigError(
            f'{source}: name: "{mapping.name}" is the name of another format', hint="give the mapping another name"
        )
    return mapping
