"""Mapping files as inputs of a run: read where the user has them, kept in RAW, found again by their hash.

An original that a mapping explains names it in the RAW manifest, so that the manifest's hash, and with it the key of
every later phase, depends on the mapping.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion.mapped import Mapped
from cybersec_mlops.ingestion.mapping import MAX_BYTES, parse_mapping
from cybersec_mlops.ingestion.originals import Original, mapping_key
from cybersec_mlops.ingestion.reader import Reader
from cybersec_mlops.ingestion.readers import all_readers, reader_of
from cybersec_mlops.ingestion.sources import expand
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference


@dataclass(frozen=True, slots=True)
class NamedMapping:
    """A mapping file and the format that it makes."""

    reader: Mapped
    sha256: str
    data: bytes


def load_mapping(name: str) -> NamedMapping:
    """Read a mapping from a file or an S3 object.

    Raises
    ------
    ConfigError
        It is not there, or no mapping.
    PlatformError
        The object store did not answer.
    """
    try:
        sources = expand(name).sources
        if len(sources) != 1 or not sources[0].explicit:
            raise ConfigError(f"{name}: a mapping is one file", hint="give --mapping the path of a TOML file")
        with sources[0].open() as file:
            data = file.read(MAX_BYTES + 1)
    except DataError as error:
        raise ConfigError(error.message, hint="give --mapping the path of a TOML file") from None
    return named_mapping(data, source=name)


def named_mapping(data: bytes, *, source: str) -> NamedMapping:
    """Return the mapping that some bytes are.

    Raises
    ------
    ConfigError
        They are none, or a native column has the name of another format's.
    """
    mapping = parse_mapping(data, source=source, taken=all_readers())
    others = {column for reader in all_readers().values() for column in reader.native_columns}
    if clash := sorted(others & mapping.native.keys()):
        raise ConfigError(
            f"{source}: {clash[0]} is a column of another format", hint="give the mapping or the column another name"
        )
    return NamedMapping(Mapped(mapping), hashlib.sha256(data).hexdigest(), data)


def load_mappings(names: Sequence[str]) -> tuple[NamedMapping, ...]:
    """Read the mappings of a run.

    Raises
    ------
    ConfigError
        As `load_mapping`, or two that differ have one name.
    """
    found: dict[str, NamedMapping] = {}
    for name in names:
        one = load_mapping(name)
        if (other := found.get(one.reader.name)) is not None and other.sha256 != one.sha256:
            raise ConfigError(f'two mappings are named "{one.reader.name}"', hint="give each mapping a name of its own")
        found[one.reader.name] = one
    return tuple(found.values())


def store_mapping(mapping: NamedMapping, raw: ObjectStore) -> Reference:
    """Put a mapping into RAW under its hash."""
    return raw.put_bytes(mapping_key(mapping.sha256), mapping.data)


def stored_mapping(sha256: str, raw: ObjectStore) -> NamedMapping:
    """Return a mapping that RAW has.

    Raises
    ------
    DataError
        It is not there.
    PlatformError
        It does not match its hash.
    """
    return named_mapping(raw.get_bytes(mapping_key(sha256), sha256=sha256), source=raw.uri(mapping_key(sha256)))


def reader_for(original: Original, raw: ObjectStore, *, timezone: str = "UTC") -> Reader:
    """Return the reader of an original: that of its format, or the one that its mapping makes.

    Raises
    ------
    ConfigError
        There is no such format.
    DataError, PlatformError
        As `stored_mapping`.
    """
    if original.mapping is None:
        shared = tuple(bytes.fromhex(piece) for piece in original.shared)
        return reader_of(original.format, timezone=timezone, shared=shared)
    return Mapped(stored_mapping(original.mapping, raw).reader.mapping, timezone)


def mapping_facts(mappings: Sequence[NamedMapping], references: Sequence[Reference]) -> dict[str, Any]:
    """Return for the audit which mapping is where: name to reference."""
    return {one.reader.name: found.to_dict() for one, found in zip(mappings, references, strict=True)}
