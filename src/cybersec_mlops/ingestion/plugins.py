"""Readers that other distributions bring: found by entry point, loaded when they are first needed.

A distribution names its readers in the group `GROUP` of its entry points; the entry's name is the format's name. One
that cannot be loaded is left out, with a warning that says whose it is and why: it never keeps the others from working.
Two of one name are an error, since it would not be known which read the data.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, META_PREFIX
from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Reader, Recognition, Refusal
from cybersec_mlops.ingestion.rejected import printable

GROUP: Final = "cybersec_mlops.readers"
"""The group of entry points."""

_LOG: Final = logging.getLogger("cybersec_mlops.plugins")
_DTYPES: Final = (pl.String(), pl.Int64(), pl.Float64(), pl.Boolean())


@dataclass(frozen=True, slots=True)
class PluginReader:
    """A reader of another distribution; what it raises is told with the name of its distribution."""

    reader: Reader
    distribution: str
    """Name and version."""

    @property
    def name(self) -> str:
        """The format's name."""
        return self.reader.name

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """See `Reader.native_columns`."""
        return self.reader.native_columns

    @property
    def has_time(self) -> bool:
        """See `Reader.has_time`."""
        return self.reader.has_time

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """See `Reader.shortcut_columns`."""
        return self.reader.shortcut_columns

    def in_zone(self, timezone: str) -> PluginReader:
        """Return it for times of this zone, where it is a dataclass with a field ``timezone``."""
        if "timezone" not in getattr(self.reader, "__dataclass_fields__", {}):
            return self
        reader: Any = self.reader
        return PluginReader(dataclasses.replace(reader, timezone=timezone), self.distribution)

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """See `Reader.recognise`; a plug-in that fails knows nothing."""
        try:
            return self.reader.recognise(head)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other readers go on
            _warn(self.distribution, self.name, f"recognise failed: {_words(error)}")
            return None

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """See `Reader.read`.

        Raises
        ------
        DataError
            The file is not of this format, or the plug-in failed on it.
        """
        try:
            yield from self.reader.read(stream, source=source, batch_bytes=batch_bytes)
        except (CybersecMlopsError, OSError):
            raise
        except Exception as error:
            raise DataError(
                f"the plug-in {self.distribution} failed on it: {_words(error)}",
                source=source,
                hint=f"report it to the authors of {self.distribution}; nothing of the file was kept",
            ) from error


def _words(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}", 200)


def _warn(distribution: str, name: str, problem: str) -> None:
    _LOG.warning("the plug-in %s (format %s) is left out: %s", distribution, name, problem)


def _entries() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _distribution(entry)))


def _distribution(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def load_plugins(builtin: Mapping[str, Reader]) -> dict[str, Reader]:
    """Load the readers that other distributions bring.

    Parameters
    ----------
    builtin : mapping of str to Reader
        The formats that there are already.

    Returns
    -------
    dict
        Format name to reader, in the order of the names.

    Raises
    ------
    ConfigError
        Two readers have one name, or two formats a native column of one name.
    """
    owners = dict.fromkeys(builtin, "cybersec-mlops")
    columns = {column: "cybersec-mlops" for reader in builtin.values() for column in reader.native_columns}
    found: dict[str, Reader] = {}
    for entry in _entries():
        distribution = _distribution(entry)
        if entry.name in owners:
            raise ConfigError(
                f"two readers are named {entry.name!r}: of {owners[entry.name]} and of {distribution}",
                hint="uninstall one of them",
            )
        owners[entry.name] = distribution
        reader = _load(entry, distribution)
        if reader is None:
            continue
        for column in reader.native_columns:
            if column in columns:
                raise ConfigError(
                    f"two formats have the column {column!r}: of {columns[column]} and of {distribution}",
                    hint="uninstall one of them",
                )
            columns[column] = distribution
        found[entry.name] = reader
    return found


def _load(entry: EntryPoint, distribution: str) -> Reader | None:
    try:
        loaded = entry.load()
        reader = PluginReader(loaded() if isinstance(loaded, type) else loaded, distribution)
        problem = _problem(reader, entry.name)
    except Exception as error:  # noqa: BLE001 - a broken plug-in never breaks the others
        problem = _words(error)
    if problem is not None:
        _warn(distribution, entry.name, problem)
        return None
    return reader


def _problem(reader: Reader, name: str) -> str | None:
    """Say why an object cannot be used as a reader."""
    if reader.name != name:
        return f"its name is {reader.name!r}, that of its entry point {name!r}"
    for column, dtype in reader.native_columns.items():
        if not column.removeprefix(META_PREFIX).startswith(f"{name}_"):
            return f"its column {column!r} does not begin with {name}_"
        if column in {**CONNECTION_SCHEMA, **LABEL_SCHEMA}:
            return f"its column {column!r} is a canonical one"
        if dtype not in _DTYPES:
            return f"its column {column!r} has the type {dtype}, expected String, Int64, Float64 or Boolean"
    strangers = reader.shortcut_columns.keys() - {*reader.native_columns, *CONNECTION_SCHEMA}
    return f"shortcut_columns names {sorted(strangers)[0]!r}, which it does not have" if strangers else None


@cache
def plugin_versions() -> tuple[str, ...]:
    """Return for every distribution that brings readers its name, version and a hash of its code; nothing is imported.

    A plug-in can take any file for its own, so these are part of the version of the code that runs.
    """
    return tuple(sorted({f"{_distribution(entry)} {_code_of(entry.module)}" for entry in _entries()}))


def _code_of(module: str) -> str:
    try:
        spec: ModuleSpec | None = find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return "not importable"
    digest = hashlib.sha256()
    for folder in sorted(spec.submodule_search_locations or ()):
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    if not spec.submodule_search_locations and spec.origin is not None and Path(spec.origin).is_file():
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()[:12]
