"""The alerts as files: NDJSON for a SIEM, Parquet for analysis, both in order and written block by block."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.in_order import in_order
from cybersec_mlops.scoring.ecs import AlertSource, lines_of
from cybersec_mlops.scoring.explanations import REASON, Explained, explain_rows
from cybersec_mlops.scoring.ranking import Run, merge
from cybersec_mlops.scoring.spec import ScoringSpec
from cybersec_mlops.scoring.tally import day_of
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.streams import file_chunks
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.threshold import Calibration, Threshold

EXPLAINED_ROWS: Final = 8_192
"""Alerts that are explained at once."""

ALERT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "rank": pl.Int64(),  # 1 is the most suspicious of the whole scoring
    "score": pl.Float64(),
    "p_value": pl.Float64(),
    "nominal_rate": pl.Float64(),  # of the strictest of the model's thresholds that the score passes
    "threshold_score": pl.Float64(),  # that threshold
    "supervised_score": pl.Float64(),
    "novelty_score": pl.Float64(),
    **CONNECTION_SCHEMA,
    "label": pl.String(),
    "format": pl.String(),
    "raw_sha256": pl.String(),
    "raw_line": pl.Int64(),
    "model_sha256": pl.String(),
    "model_version": pl.Int64(),
    "explanation": pl.List(REASON),
}
"""Columns of the alerts as Parquet."""


@dataclass(frozen=True)
class StoredAlerts:
    """Both files in EVAL, and how many alerts of each day they have."""

    parquet: Reference
    ndjson: Reference
    counts: Counter[str]


def store_alerts(
    runs: Sequence[Run],
    detector: Detector,
    source: AlertSource,
    spec: ScoringSpec,
    store: ObjectStore,
    folder: Path,
    facts: Mapping[str, Any],
) -> StoredAlerts:
    """Merge the runs, explain what is left, and store the alerts under the hashes of the two files."""
    parts: list[Path] = []
    counts: Counter[str] = Counter()
    lines = folder / "alerts.ndjson"
    explained = in_order(partial(_explained, detector, source, spec.reasons), _pieces(runs, spec.per_day))
    with lines.open("wb") as opened:
        for alerts, documents in explained:
            counts.update(alerts.select(day=day_of("ts"))["day"].to_list())
            documents.write_csv(opened, include_header=False, quote_style="never")
            parts.append(folder / f"alerts-part-{len(parts):06}.arrow")
            alerts.write_ipc(parts[-1], compression="lz4")
    table = folder / "alerts.parquet"
    scans = [pl.scan_ipc(part, glob=False) for part in parts] or [pl.LazyFrame(schema=ALERT_SCHEMA)]
    told = {"cybersec_mlops": json.dumps(facts, sort_keys=True, allow_nan=False)}
    pl.concat(scans).sink_parquet(table, compression="zstd", compression_level=1, metadata=told, maintain_order=True)
    return StoredAlerts(_store(table, store, counts.total()), _store(lines, store, counts.total()), counts)


def _pieces(runs: Sequence[Run], per_day: int | None) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield a few alerts at a time, with how many were before them."""
    before = 0
    for block in merge(runs, per_day):
        for piece in block.iter_slices(EXPLAINED_ROWS):
            yield piece, before
            before += piece.height


def _explained(
    detector: Detector, source: AlertSource, reasons: int, piece: tuple[pl.DataFrame, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return alerts as rows and as lines of NDJSON."""
    rows, before = piece
    explained = explain_rows(detector, rows, reasons)
    alerts = alert_rows(rows, explained, detector.calibration, source, before)
    return alerts, lines_of(alerts, explained, source).to_frame()


def alert_rows(
    rows: pl.DataFrame, explained: Explained, calibration: Calibration, source: AlertSource, before: int
) -> pl.DataFrame:
    """Return alerts as `ALERT_SCHEMA` says, ranked from `before` + 1."""
    active = calibration.active
    rate, score = pl.lit(active.rate), pl.lit(active.score)
    for threshold in sorted(_stricter(calibration), key=lambda one: -one.rate):
        passed = pl.col("score") >= threshold.score
        rate = pl.when(passed).then(threshold.rate).otherwise(rate)
        score = pl.when(passed).then(threshold.score).otherwise(score)
    return rows.with_columns(
        pl.int_range(before + 1, before + 1 + rows.height, dtype=pl.Int64).alias("rank"),
        rate.alias("nominal_rate"),
        score.alias("threshold_score"),
        pl.lit(source.model_sha256).alias("model_sha256"),
        pl.lit(source.model_version, dtype=pl.Int64).alias("model_version"),
        explained.series().alias("explanation"),
    ).select(pl.col(name).cast(dtype) for name, dtype in ALERT_SCHEMA.items())


def _stricter(calibration: Calibration) -> list[Threshold]:
    return [one for one in calibration.thresholds if one.rate < calibration.active.rate]


def _store(path: Path, store: ObjectStore, rows: int) -> Reference:
    digest = hashlib.sha256()
    for chunk in file_chunks(path, 1 << 20):
        digest.update(chunk)
    sha256 = digest.hexdigest()
    stored = store.put_file(f"alerts/{sha256[:2]}/{sha256}{path.suffix}", path, sha256=sha256)
    return Reference(stored.uri, stored.sha256, stored.bytes, rows)
