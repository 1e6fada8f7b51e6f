"""The manifest of a SILVER snapshot: which parts, which columns, and where every row went."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.staging import Staged

MANIFEST_VERSION = 1
DATA = "data"
QUARANTINE = "quarantine"
DTYPES: dict[str, pl.DataType] = {
    str(dtype): dtype
    for dtype in (pl.String(), pl.Int32(), pl.Int64(), pl.Float64(), pl.Boolean(), pl.Datetime("us", "UTC"))
}


@dataclass(frozen=True, slots=True)
class SilverPart:
    """One Parquet part and what is in it."""

    reference: Reference
    labels: dict[str, int]
    originals: dict[str, int]
    """Rows by label, normalised and as the source spelt it; unlabelled rows are in neither."""
    first_ts: str | None
    last_ts: str | None
    """Range of the times, ISO 8601 in UTC."""

    @classmethod
    def of(cls, rows: pl.DataFrame, reference: Reference) -> SilverPart:
        """Describe a part."""
        counted = [dict(rows[name].drop_nulls().value_counts().iter_rows()) for name in ("label", "label_original")]
        times = [None if at is None else at.isoformat() for at in (rows["ts"].min(), rows["ts"].max())]  # type: ignore[union-attr]
        return cls(reference, counted[0], counted[1], times[0], times[1])

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        plain = {name: getattr(self, name) for name in ("labels", "originals", "first_ts", "last_ts")}
        return {"reference": self.reference.to_dict(), **plain}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SilverPart:
        """Read the JSON form."""
        return cls(**{**value, "reference": Reference.from_dict(value["reference"])})


@dataclass(frozen=True, slots=True)
class SilverManifest:
    """Everything about a snapshot but its bytes. Equal inputs give an equal manifest, so its hash names the data."""

    dataset: str
    raw_manifest_sha256: str
    formats: tuple[str, ...]
    columns: dict[str, str]
    """Name to Polars dtype."""
    shortcuts: dict[str, str]
    """Columns that are known to give the label away in these formats, and why."""
    parts: tuple[Reference, ...]
    quarantine: tuple[Reference, ...]
    read: int
    kept: int
    quarantined: dict[str, int]
    """Refused rows by reason."""
    skipped: dict[str, int]
    """Rows that are not connections, by rule."""
    labels: dict[str, int]
    labels_original: dict[str, int]
    first_ts: str | None
    last_ts: str | None
    synthetic: bool
    """Whether any original says of itself that it was simulated."""

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column names to dtypes."""
        return {name: DTYPES[dtype] for name, dtype in self.columns.items()}

    def to_json(self) -> bytes:
        """Return the canonical bytes; they do not say in which store the parts are."""
        plain = {name: getattr(self, name) for name in SilverManifest.__slots__}
        lists = {name: [_content(reference) for reference in getattr(self, name)] for name in ("parts", "quarantine")}
        return json.dumps({"version": MANIFEST_VERSION, **plain, **lists}, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes, silver: ObjectStore) -> SilverManifest:
        """Read the canonical bytes of a manifest of this store.

        Raises
        ------
        DataError
            When the manifest is of a version that this code does not know.
        """
        value = json.loads(data)
        version = value.pop("version", None)
        if version != MANIFEST_VERSION:
            raise DataError(
                f"the SILVER manifest has version {version}, expected {MANIFEST_VERSION}",
                hint="run the transformation again with this version of cybersec-mlops",
            )
        for name, prefix in (("parts", DATA), ("quarantine", QUARANTINE)):
            value[name] = tuple(Reference(silver.uri(part_key(prefix, one["sha256"])), **one) for one in value[name])
        return cls(**{**value, "formats": tuple(value["formats"])})


def _content(reference: Reference) -> dict[str, Any]:
    return {"sha256": reference.sha256, "bytes": reference.bytes, "rows": reference.rows}


def part_key(prefix: str, sha256: str) -> str:
    """Return where a Parquet part lies.

    >>> part_key(DATA, "ab12")
    'data/ab/ab12.parquet'
    """
    return f"{prefix}/{sha256[:2]}/{sha256}.parquet"


def manifest_key(sha256: str) -> str:
    """Return where a manifest lies."""
    return f"manifests/{sha256[:2]}/{sha256}.json"


def write_manifest(
    staged: Sequence[Staged],
    parts: Sequence[SilverPart],
    quarantine: Sequence[Reference],
    silver: ObjectStore,
    *,
    dataset: str,
    raw_manifest: Reference,
    columns: Mapping[str, pl.DataType],
) -> tuple[Reference, SilverManifest]:
    """Store the manifest of a snapshot under the hash of its bytes.

    Raises
    ------
    DataError
        When rows are unaccounted for: read must equal kept + quarantined + skipped.
    """
    quarantined, skipped = _sum(one.reasons for one in staged), _sum(one.skipped for one in staged)
    kept = sum(part.reference.rows or 0 for part in parts)
    staged_rows = sum(one.kept for one in staged)
    refused = sum(reference.rows or 0 for reference in quarantine)
    if kept != staged_rows or refused != sum(quarantined.values()):
        raise DataError(
            f"rows went missing: {staged_rows} parsed and {sum(quarantined.values())} refused,"
            f" but {kept} and {refused} were stored",
            hint="this is a defect of cybersec-mlops: please report it with the log's first lines",
        )
    times = sorted(at for part in parts for at in (part.first_ts, part.last_ts) if at is not None)
    formats = tuple(sorted({one.format for one in staged}))
    manifest = SilverManifest(
        dataset=dataset,
        raw_manifest_sha256=raw_manifest.sha256,
        formats=formats,
        columns={name: str(dtype) for name, dtype in columns.items()},
        shortcuts={name: why for one in staged for name, why in one.shortcuts.items()},
        parts=tuple(part.reference for part in parts),
        quarantine=tuple(quarantine),
        read=kept + refused + sum(skipped.values()),
        kept=kept,
        quarantined=quarantined,
        skipped=skipped,
        labels=_sum(part.labels for part in parts),
        labels_original=_sum(part.originals for part in parts),
        first_ts=times[0] if times else None,
        last_ts=times[-1] if times else None,
        synthetic=any(one.synthetic for one in staged),
    )
    data = manifest.to_json()
    sha256 = hashlib.sha256(data).hexdigest()
    stored = silver.put_bytes(manifest_key(sha256), data)
    return Reference(stored.uri, stored.sha256, stored.bytes, kept), manifest


def _sum(counts: Iterator[Mapping[str, int]] | Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def read_silver(
    manifest: SilverManifest, silver: ObjectStore, folder: Path, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read a snapshot whole, every part checked against its hash.

    Parameters
    ----------
    manifest : SilverManifest
        Which parts.
    silver : ObjectStore
        The SILVER layer.
    folder : Path
        Scratch for one part at a time.
    columns : sequence of str, optional
        Only these.
    """
    return pl.concat(
        [*iterate_silver(manifest, silver, folder, columns), pl.DataFrame(schema=_wanted(manifest, columns))]
    )


def iterate_silver(
    manifest: SilverManifest, silver: ObjectStore, folder: Path, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Yield a snapshot part by part, every part checked against its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in manifest.parts:
        path = folder / f"{part.sha256}.parquet"
        silver.fetch(silver.key(part.uri), path, sha256=part.sha256)
        try:
            yield pl.read_parquet(path, columns=list(_wanted(manifest, columns)))
        finally:
            path.unlink(missing_ok=True)


def _wanted(manifest: SilverManifest, columns: Sequence[str] | None) -> dict[str, pl.DataType]:
    schema = manifest.schema
    return schema if columns is None else {name: schema[name] for name in columns}
