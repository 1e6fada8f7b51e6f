"""The steps from RAW originals to a SILVER snapshot. The flow runs them as tasks; `transform` runs them in a row."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, PROVENANCE_SCHEMA, REJECTED_SCHEMA
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.in_order import in_order
from cybersec_mlops.ingestion.originals import Original, share
from cybersec_mlops.ingestion.zeek_aggregates import KINDS
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.behaviour import add_behaviour, behaviour_schema, lookback_s
from cybersec_mlops.transformation.derived import DERIVED_SCHEMA, add_derived
from cybersec_mlops.transformation.silver import (
    DATA,
    DTYPES,
    QUARANTINE,
    SilverManifest,
    SilverPart,
    part_key,
    write_manifest,
)
from cybersec_mlops.transformation.slices import Slice, plan_slices, read_past, read_slice
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.staging import Staged, read_refused, stage_original

if TYPE_CHECKING:  # it imports SQLAlchemy, which only publishing needs
    from cybersec_mlops.storage.silver import SilverCatalog

_SLICES_AT_ONCE: Final = 2
"""Each is in memory twice, mapped and as a part; the flow takes as many as there are cores, at most four."""


def input_columns(native: Mapping[str, str]) -> dict[str, pl.DataType]:
    """Return the columns that the readers give: the canonical ones, and these native ones of all formats together."""
    typed = {name: DTYPES[dtype] for name, dtype in native.items()}
    return {**PROVENANCE_SCHEMA, "format": pl.String(), **CONNECTION_SCHEMA, **LABEL_SCHEMA, **typed}


def native_columns(staged: Sequence[Staged]) -> dict[str, str]:
    """Return the native columns of all originals, format by format, and at the end those that joined logs give."""
    by_format = {one.format: one.native for one in staged}
    kinds = {kind for one in staged for kind in one.joined}
    native = {name: dtype for form in sorted(by_format) for name, dtype in by_format[form].items()}
    joined = (columns.features for kind, columns in KINDS.items() if kind in kinds)
    return native | {name: str(dtype) for features in joined for name, dtype in features.items()}


@dataclass(frozen=True, slots=True)
class SliceJob:
    """What building the parts of one snapshot has in common."""

    dataset: str
    native: dict[str, str]
    """Native columns of the formats: name to Polars dtype."""
    timed: bool
    """Whether any row has a time: without one there is no past to look at."""
    spec: TransformationSpec
    folder: str
    """Scratch."""

    @classmethod
    def of(cls, staged: Sequence[Staged], dataset: str, spec: TransformationSpec, folder: str) -> SliceJob:
        """Describe the job for these originals."""
        timed = any(part.timed_rows for one in staged for part in one.parts)
        return cls(dataset, native_columns(staged), timed, spec, folder)

    @property
    def behaviour(self) -> bool:
        """Whether the parts get behaviour features."""
        return self.timed and self.spec.behaviour


def silver_columns(job: SliceJob) -> dict[str, pl.DataType]:
    """Return the columns of SILVER, in order."""
    behaviour = behaviour_schema(job.spec.windows_s) if job.behaviour else {}
    return {"dataset": pl.String(), **input_columns(job.native), **DERIVED_SCHEMA, **behaviour}


_HINT: Final = (
    "`cybersec-mlops inspect SOURCE` says what each file holds and why rows are refused; "
    "--format NAME where it was taken for another format"
)
_HINTS: Final = {
    "no_template": "give the exporter's templates as well: the files, or the folder, with the datagrams that carry them"
}


def plan(staged: Sequence[Staged], spec: TransformationSpec) -> tuple[Slice, ...]:
    """Cut the staged rows into slices.

    Raises
    ------
    DataError
        When nothing is left to cut: every row was refused.
    """
    if not sum(one.kept for one in staged):
        reasons: Counter[str] = Counter()
        for one in staged:
            reasons.update(one.reasons)
        first = sorted(reasons.items(), key=lambda told: (-told[1], told[0]))[:5]
        why = ", ".join(f"{reason} {count}" for reason, count in first)
        refused = f": all {sum(reasons.values())} rows were refused ({why})" if reasons else ": there are no rows"
        raise DataError(
            f"no connection is left to work with{refused}",
            hint=next((hint for reason, hint in _HINTS.items() if reason in reasons), _HINT),
            counts=reasons,
        )
    return plan_slices(staged, slice_rows=spec.slice_rows, lookback_s=lookback_s(spec.windows_s))


def build_part(piece: Slice, job: SliceJob, silver: ObjectStore) -> SilverPart:
    """Compute the features of one slice and store it as a content-addressed Parquet part of SILVER."""
    columns = input_columns(job.native)
    rows = add_derived(read_slice(piece, columns).with_columns(dataset=pl.lit(job.dataset)))
    if job.behaviour:
        rows = add_behaviour(rows, read_past(piece, columns, lookback_s(job.spec.windows_s)), job.spec.windows_s)
    rows = rows[list(silver_columns(job))]  # `select` would copy every column
    return SilverPart.of(rows, store_parquet(rows, DATA, silver))


def store_quarantine(staged: Staged, silver: ObjectStore) -> tuple[Reference, ...]:
    """Store the refused rows of one original."""
    return tuple(store_parquet(read_refused(part), QUARANTINE, silver) for part in staged.rejected)


def store_parquet(rows: pl.DataFrame, prefix: str, silver: ObjectStore) -> Reference:
    """Write a frame to Parquet and store it under the hash of its bytes; the file is made in memory."""
    file = io.BytesIO()
    rows.write_parquet(file, compression="zstd", compression_level=1, statistics=True, row_group_size=131_072)
    sha256 = hashlib.sha256(file.getbuffer()).hexdigest()
    stored = silver.put_bytes(part_key(prefix, sha256), file.getbuffer(), sha256=sha256)
    return Reference(stored.uri, stored.sha256, stored.bytes, rows.height)


def publish(reference: Reference, manifest: SilverManifest, catalog: SilverCatalog) -> dict[str, str | int | None]:
    """Make the parts the newest snapshot of the dataset's Iceberg tables, tagged with the manifest's hash.

    Returns
    -------
    dict
        ``table``, ``tag``, ``snapshot`` (the id that Iceberg gave) and ``quarantine_table`` (None where nothing was
        refused).
    """
    tag = f"sha256-{reference.sha256[:16]}"
    rows = catalog.publish(f"silver.{manifest.dataset}", manifest.parts, tag=tag, schema=manifest.schema)
    refused = None
    if manifest.quarantine:
        refused = f"quarantine.{manifest.dataset}"
        refused = catalog.publish(refused, manifest.quarantine, tag=tag, schema=REJECTED_SCHEMA).table
    return {"table": rows.table, "tag": tag, "snapshot": rows.snapshot_id, "quarantine_table": refused}


def transform(
    originals: Sequence[Original],
    raw_manifest: Reference,
    raw: ObjectStore,
    silver: ObjectStore,
    scratch: Path,
    *,
    dataset: str,
    spec: TransformationSpec,
    parsed: Path | None = None,
) -> tuple[Reference, SilverManifest]:
    """Run every step but the publishing in a row, without Prefect: the phase as a plain function."""

    def stage(one: Original) -> Staged:
        return stage_original(one, raw, scratch / one.sha256, timezone=spec.timezone, parsed=parsed)

    staged = list(in_order(stage, share(originals)))
    job = SliceJob.of(staged, dataset, spec, str(scratch))
    parts = list(in_order(partial(build_part, job=job, silver=silver), plan(staged, spec), at_once=_SLICES_AT_ONCE))
    quarantine = [reference for one in staged for reference in store_quarantine(one, silver)]
    return write_manifest(
        staged, parts, quarantine, silver, dataset=dataset, raw_manifest=raw_manifest, columns=silver_columns(job)
    )
