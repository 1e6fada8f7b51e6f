"""The steps from RAW originals and a bundle to stored, ranked alerts. The flow runs them as tasks; `score` in a row."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.originals import Original, share
from cybersec_mlops.scoring.alert_files import store_alerts
from cybersec_mlops.scoring.ecs import AlertSource
from cybersec_mlops.scoring.model import ScoringModel, load_model
from cybersec_mlops.scoring.ranking import Run, write_run
from cybersec_mlops.scoring.spec import ScoringSpec
from cybersec_mlops.scoring.tally import Tally
from cybersec_mlops.scoring.validity import judge
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.behaviour import add_behaviour, lookback_s
from cybersec_mlops.transformation.derived import add_derived
from cybersec_mlops.transformation.slices import Slice, read_past, read_slice
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.staging import Staged, stage_original
from cybersec_mlops.transformation.transform import SliceJob, input_columns, plan, store_quarantine

TOLD: Final = ("raw_sha256", "raw_line", "format", *CONNECTION_SCHEMA, "label")
"""What an alert says of its connection."""


@dataclass(frozen=True)
class ScoringJob:
    """What is scored by what: references and parameters only."""

    bundle: Reference
    dataset: str
    """Whose model it is."""
    version: int | None
    """Its number in the registry; None for a bundle that is in none."""
    raw: Reference
    """The RAW manifest."""
    transformation: TransformationSpec
    scoring: ScoringSpec

    @property
    def inputs(self) -> tuple[Reference, ...]:
        """What the result depends on."""
        return (self.bundle, self.raw)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the result depends on beside its inputs."""
        transformation = self.transformation.model_dump(mode="json", include={"timezone", "slice_rows"})
        scoring = self.scoring.model_dump(mode="json", exclude={"out", "model"})
        return {"role": "score", "version": self.version, "transformation": transformation, "scoring": scoring}


@dataclass(frozen=True)
class ScoredSlice:
    """A slice's alerts on scratch, and what was counted of all of its rows."""

    run: Run
    tally: Tally

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"run": self.run.to_dict(), "tally": self.tally.to_dict()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ScoredSlice:
        """Read the JSON form."""
        return cls(Run.from_dict(value["run"]), Tally.from_dict(value["tally"]))


def slice_job(model: ScoringModel, staged: Sequence[Staged], job: ScoringJob, folder: Path) -> SliceJob:
    """Describe how features are computed: as for the rows that the model was trained on."""
    return SliceJob.of(staged, job.dataset, model.transformation(job.transformation), str(folder))


def score_slice(piece: Slice, slices: SliceJob, job: ScoringJob, models: ObjectStore, path: Path) -> ScoredSlice:
    """Compute the features of one slice, score its rows, write its alerts to scratch in order."""
    model = load_model(job.bundle, models)
    rows = feature_rows(piece, slices, model)
    scored = model.detector.score(rows)
    tally = Tally.of(rows, scored, model.features)
    told = rows.select(*TOLD, *model.features_beside(TOLD)).hstack(scored)
    run = write_run(told.filter("is_alert"), path, job.scoring.per_day)
    return ScoredSlice(run, tally)


def feature_rows(piece: Slice, slices: SliceJob, model: ScoringModel) -> pl.DataFrame:
    """Read the rows of a slice with every feature of the model; what the logs do not have is null."""
    columns = input_columns(slices.native)
    rows = add_derived(read_slice(piece, model.inputs(columns, TOLD)))
    if slices.behaviour:
        windows_s = slices.spec.windows_s
        rows = add_behaviour(rows, read_past(piece, columns, lookback_s(windows_s)), windows_s)
    return model.complete(rows.rechunk())  # in one piece, since all that follows would copy them each time


def conclude(
    staged: Sequence[Staged], scored: Sequence[ScoredSlice], job: ScoringJob, layers: Layers, folder: Path
) -> dict[str, Any]:
    """Merge, limit, explain and store the alerts; say how far the scoring can be trusted.

    Returns
    -------
    dict
        ``alerts`` and ``alerts_ndjson`` (references), ``uri`` (of the latter), ``summary`` (reference to the JSON of
        everything below), ``quarantine`` (references), and the facts of `_facts`.

    Raises
    ------
    DataError
        The logs have none of the model's features.
    """
    model = load_model(job.bundle, layers.models)
    tally = Tally()
    for one in scored:
        tally.add(one.tally)
    missing = tally.missing(model.features)
    if len(missing) == len(model.features):
        raise DataError(
            f"these logs have none of the model's {len(missing)} features ({', '.join(missing[:5])}, ...)",
            hint="score with a model that was trained on this format of log: --model, --dataset",
        )
    synthetic = model.synthetic or any(one.synthetic for one in staged)
    source = AlertSource(job.dataset, job.bundle.sha256, job.version, synthetic, tuple(missing))
    facts = _facts(staged, tally, model, source, job)
    stored = store_alerts([one.run for one in scored], model.detector, source, job.scoring, layers.eval, folder, facts)
    facts["alerts"] = stored.counts.total()
    facts["days"] = {day: [*tally.days[day], stored.counts[day]] for day in sorted(tally.days)}
    quarantine = [reference for one in staged for reference in store_quarantine(one, layers.eval)]
    summary = _store_json({**facts, "raw": _content(job.raw), "bundle": _content(job.bundle)}, layers.eval)
    return {
        "uri": stored.ndjson.uri,
        "alerts_parquet": stored.parquet.to_dict(),
        "alerts_ndjson": stored.ndjson.to_dict(),
        "summary": summary.to_dict(),
        "quarantine": [one.to_dict() for one in quarantine],
        **facts,
    }


def _facts(
    staged: Sequence[Staged], tally: Tally, model: ScoringModel, source: AlertSource, job: ScoringJob
) -> dict[str, Any]:
    reasons: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for one in staged:
        reasons.update(one.reasons)
        skipped.update(one.skipped)
    return {
        "model": {"dataset": job.dataset, "version": job.version, "sha256": job.bundle.sha256},
        "formats": sorted({one.format for one in staged}),
        "originals": sorted({one.raw_sha256 for one in staged}),
        "synthetic": source.synthetic,
        "read": tally.rows + reasons.total() + skipped.total(),
        "rows": tally.rows,
        "quarantined": reasons.total(),
        "quarantine_reasons": dict(sorted(reasons.items())),
        "skipped": dict(sorted(skipped.items())),
        "alerting_rows": tally.alerting,
        "per_day": job.scoring.per_day,
        "features": len(model.features),
        "missing_features": list(source.missing_features),
        "calibration": judge(tally, model.detector.calibration).to_dict(),
    }


def _content(reference: Reference) -> dict[str, Any]:
    return {"sha256": reference.sha256, "bytes": reference.bytes}


def _store_json(value: Mapping[str, Any], store: ObjectStore) -> Reference:
    data = json.dumps(value, sort_keys=True, allow_nan=False).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    return store.put_bytes(f"scorings/{sha256[:2]}/{sha256}.json", data)


def score(
    originals: Sequence[Original], job: ScoringJob, layers: Layers, scratch: Path, *, parsed: Path | None = None
) -> dict[str, Any]:
    """Run every step in a row, without Prefect: the phase as a plain function (see `conclude`)."""
    scratch.mkdir(parents=True, exist_ok=True)
    zone = job.transformation.timezone
    staged = [
        stage_original(one, layers.raw, scratch / one.sha256, timezone=zone, parsed=parsed) for one in share(originals)
    ]
    slices = slice_job(load_model(job.bundle, layers.models), staged, job, scratch)
    scored = [
        score_slice(piece, slices, job, layers.models, scratch / f"alerts-{number:06}.parquet")
        for number, piece in enumerate(plan(staged, slices.spec))
    ]
    return conclude(staged, scored, job, layers, scratch)
