"""The steps from a bundle and SILVER to stored metrics, predictions, report and decision.

The flow runs them as tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.evaluation.baselines import measure_baselines
from cybersec_mlops.evaluation.bootstrap import Bootstrap
from cybersec_mlops.evaluation.champion import champion_scores, compare_with_champion
from cybersec_mlops.evaluation.drift import Drift, measure_drift
from cybersec_mlops.evaluation.examples import AlertExample, Reason, choose_examples
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.gate import decide
from cybersec_mlops.evaluation.leakage import audit_leakage
from cybersec_mlops.evaluation.leave_one_out import LeaveOneOut, leave_one_attack_out
from cybersec_mlops.evaluation.metrics import Metrics, measure
from cybersec_mlops.evaluation.model_card import render_model_card
from cybersec_mlops.evaluation.report import DataReference, ReportInput, accepted, render_report
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import read_bundle
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.train import known_attacks, read_manifest_of, read_split
from cybersec_mlops.transformation.silver import SilverManifest, read_silver
from cybersec_mlops.transformation.transform import store_parquet

DRIFT_ROWS: Final = 20_000
SHOWN: Final = (
    *("raw_sha256", "raw_line", "ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p", "proto", "service"),
    *("label", "label_original", "is_attack"),
)
"""What a row of the predictions says beside the scores."""


@dataclass(frozen=True)
class EvaluationJob:
    """What is evaluated, on what, against whom: references and parameters only."""

    bundle: Reference
    version: int
    train: Reference
    """SILVER manifest that the bundle was trained on."""
    test: Reference | None
    """SILVER manifest of the test set; None where the training held rows out."""
    champion: Reference | None
    champion_version: int | None
    training: TrainingSpec
    evaluation: EvaluationSpec
    dataset: str
    run_id: str
    code: Mapping[str, str]

    @property
    def inputs(self) -> tuple[Reference, ...]:
        """What the result depends on."""
        return tuple(one for one in (self.bundle, self.train, self.test, self.champion) if one is not None)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the result depends on beside its inputs; which input is which is told by what is there."""
        return {
            "evaluation": self.evaluation.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json", exclude={"threads"}),
            "test_set": self.test is not None,
            "champion": self.champion_version,
        }


@dataclass(frozen=True)
class _Sets:
    """The rows on both sides of the split."""

    train: pl.DataFrame
    test: pl.DataFrame
    manifest: SilverManifest
    test_manifest: SilverManifest
    split: dict[str, Any]


def _read_sets(job: EvaluationJob, layers: Layers, folder: Path) -> _Sets:
    manifest = read_manifest_of(job.train, layers.silver)
    if job.test is None:
        cut = read_split(manifest, layers.silver, folder, job.training)
        return _Sets(cut.train, cut.test, manifest, manifest, cut.describe())
    test_manifest = read_manifest_of(job.test, layers.silver)
    train = read_silver(manifest, layers.silver, folder)
    test = read_silver(test_manifest, layers.silver, folder)
    return _Sets(train, test, manifest, test_manifest, {"method": "given test set"})


def _read_detector(reference: Reference, layers: Layers) -> tuple[Detector, dict[str, Any]]:
    data = layers.models.get_bytes(layers.models.key(reference.uri), sha256=reference.sha256)
    return read_bundle(data, sha256=reference.sha256)


def score_test(job: EvaluationJob, layers: Layers, folder: Path) -> Reference:
    """Score every test row with the frozen bundle, and with the champion where it can; store the predictions.

    Raises
    ------
    DataError
        When the test set lacks features that the model cannot do without.
    """
    sets = _read_sets(job, layers, folder)
    if sets.test.is_empty():
        raise DataError("the test set has no rows", hint="give --test a source that has connections")
    detector, _ = _read_detector(job.bundle, layers)
    scored = sets.test.select(SHOWN).hstack(detector.score(sets.test))
    if job.champion is not None:
        champion, manifest = _read_detector(job.champion, layers)
        told = champion_scores(champion, manifest["provenance"], sets.test, layers.silver, folder)
        scored = scored if told is None else scored.with_columns(told)
    return store_parquet(scored, "predictions", layers.eval)


def assess(job: EvaluationJob, predictions: Reference, layers: Layers, folder: Path) -> dict[str, Any]:
    """Measure the predictions, look for leaks and drift, decide, and store metrics, report and model card.

    Returns
    -------
    dict
        ``uri`` (the metrics), ``report`` (its uri), ``promoted``, ``reasons``, ``headline`` (figures of ``--json``),
        ``table`` (metrics with intervals) and references to everything that was stored.
    """
    sets = _read_sets(job, layers, folder)
    detector, manifest = _read_detector(job.bundle, layers)
    path = folder / "predictions.parquet"
    layers.eval.fetch(layers.eval.key(predictions.uri), path, sha256=predictions.sha256)
    scored = pl.read_parquet(path)
    given = _report_input(job, sets, detector, manifest, scored, predictions)
    return _store(given, job, layers)


def _report_input(
    job: EvaluationJob,
    sets: _Sets,
    detector: Detector,
    manifest: Mapping[str, Any],
    scored: pl.DataFrame,
    predictions: Reference,
) -> ReportInput:
    spec, calibration, features = job.evaluation, detector.calibration, detector.encoder.features
    metrics = measure(
        scored.with_columns(_probability()),
        threshold=calibration.active.score,
        nominal=calibration.active.rate,
        thresholds={one.rate: one.score for one in calibration.thresholds},
        training_attacks=known_attacks(manifest["provenance"]),
        spec=spec,
    )
    findings = None
    if spec.leakage_audit:
        findings = audit_leakage(
            sets.train,
            sets.test,
            features,
            shortcuts=sets.manifest.shortcuts,
            spec=spec,
            temporal=sets.split.get("method") == "time",
        )
    comparison, opponent = compare_with_champion(scored, job.champion_version, spec)
    labelled = scored["is_attack"].is_not_null()
    baselines = measure_baselines(
        sets.train,
        sets.test.filter(labelled),
        features,
        bootstrap=Bootstrap.of(scored.filter(labelled), resamples=spec.resamples, seed=spec.seed),
        model_score=scored.filter(labelled)["score"].to_numpy(),
        seed=spec.seed,
    )
    decision = decide(spec.gate, metrics, findings, baselines=baselines, comparison=comparison, champion=opponent)
    benign = scored.filter(~pl.col("is_attack"))["p_value"].to_numpy()
    return ReportInput(
        dataset=job.dataset,
        synthetic=any((sets.manifest.synthetic, sets.test_manifest.synthetic, manifest["provenance"]["synthetic"])),
        run_id=job.run_id,
        created=datetime.now(UTC),
        model_version=str(job.version),
        model_sha256=job.bundle.sha256,
        metrics=metrics,
        decision=decision,
        scored=scored,
        split=_describe_split(sets.split),
        findings=None if findings is None else tuple(findings),
        drift=measure_drift(
            sets.train,
            sets.test,
            features,
            train_scores=_train_scores(detector, sets.train, spec.seed),
            test_scores=scored["score"].to_numpy(),
            benign_p_values=benign,
            seed=spec.seed,
        ),
        baselines=tuple(baselines),
        comparison=comparison,
        importance=_importance(detector),
        alerts=_examples(detector, sets.test, scored, spec.top_alerts),
        data=_references(job, sets, predictions),
        training=manifest["provenance"]["training"],
        left_out=_leave_one_out(job, sets, detector, manifest),
        spec={"training": job.training.model_dump(mode="json"), "evaluation": spec.model_dump(mode="json")},
        code=job.code,
        notes=_notes(job, manifest["provenance"]),
    )


def _notes(job: EvaluationJob, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    parent = provenance.get("parent")
    if parent is None:
        return ()
    origin = f"bundle {parent['sha256'][:12]} of {parent['dataset']}"
    carried = (
        f"The model was not trained on this traffic: {origin} was carried over with its supervised half; scales and "
        "thresholds come from what is called training here."
    )
    said = [carried, *(f"{each[:1].upper()}{each[1:]}." for each in provenance["training"].get("warnings", ()))]
    if job.evaluation.leave_one_attack_out:
        said.append("No attack was left out in turn: the attacks that it knows are those of the other network.")
    return tuple(said)


def _leave_one_out(
    job: EvaluationJob, sets: _Sets, detector: Detector, manifest: Mapping[str, Any]
) -> LeaveOneOut | None:
    """Train without each attack as the bundle was trained, tuned settings included."""
    if not job.evaluation.leave_one_attack_out or "parent" in manifest["provenance"]:
        return None
    spec = TrainingSpec.model_validate({**manifest["provenance"]["training"]["spec"], "threads": job.training.threads})
    return leave_one_attack_out(
        detector,
        sets.train,
        sets.test,
        spec,
        shortcuts=sets.manifest.shortcuts,
        resamples=job.evaluation.resamples,
        seed=job.evaluation.seed,
    )


def _train_scores(detector: Detector, train: pl.DataFrame, seed: int) -> npt.NDArray[np.float64]:
    """Score a sample of the training rows: what the score's distribution on the test set is compared with."""
    sample = train.sample(DRIFT_ROWS, seed=seed) if train.height > DRIFT_ROWS else train
    return detector.score(sample)["score"].to_numpy()


def _probability() -> pl.Expr:
    """Turn the supervised log odds into a probability."""
    return (1.0 / (1.0 + (-pl.col("supervised_score")).exp())).alias("supervised_score")


def _describe_split(split: Mapping[str, Any]) -> str:
    if split["method"] == "given test set":
        return "The test set was given by the user; nothing of it was seen in training."
    sizes = f"{split['train_rows']:,} rows to train on, {split['test_rows']:,} held out"
    if split["method"] == "time":
        said = f"The rows from {split['boundary']} on were held out: {sizes}."
    else:
        said = f"Rows were held out at random, stratified by label, identical rows on one side: {sizes}."
    return " ".join([said, *split["notes"]])


def _examples(detector: Detector, test: pl.DataFrame, scored: pl.DataFrame, count: int) -> tuple[AlertExample, ...]:
    order = choose_examples(scored, count)
    explained = detector.explain(test, order, top=4)
    return tuple(
        AlertExample(
            score=row["score"],
            p_value=row["p_value"],
            connection=_connection(row),
            ts=row["ts"],
            label=row["label"],
            is_attack=row["is_attack"],
            reasons=tuple(
                Reason(one["feature"], one["value"] or "missing", one["usual"])
                for one in explained.filter(pl.col("row") == number).sort("rank").iter_rows(named=True)
            ),
        )
        for number, row in zip(order, scored[order].iter_rows(named=True), strict=True)
    )


def _importance(detector: Detector) -> pl.DataFrame | None:
    """Return what the supervised detector looks at; a benign-only one looks at all features alike."""
    importance = detector.feature_importance()
    return None if importance.is_empty() else importance.with_columns(part=pl.lit("supervised"))


def _connection(row: Mapping[str, Any]) -> str:
    if row["orig_h"] is None:
        what = " ".join(str(row[name]) for name in ("proto", "service") if row[name])
        return f"{what or 'connection'} (line {row['raw_line']} of {row['raw_sha256'][:12]})"
    ends = [f"{row[f'{side}_h']}:{'' if row[f'{side}_p'] is None else row[f'{side}_p']}" for side in ("orig", "resp")]
    return " ".join(str(part) for part in (f"{ends[0]} -> {ends[1]}", row["proto"], row["service"]) if part)


def _references(job: EvaluationJob, sets: _Sets, predictions: Reference) -> tuple[DataReference, ...]:
    raw = DataReference("RAW manifest", "", sets.manifest.raw_manifest_sha256)
    named = [("training rows", job.train), ("test rows", job.test), ("model bundle", job.bundle)]
    named += [("champion", job.champion), ("predictions", predictions)]
    told = [DataReference(role, one.uri, one.sha256, one.bytes, one.rows) for role, one in named if one is not None]
    return (raw, *told)


def _store(given: ReportInput, job: EvaluationJob, layers: Layers) -> dict[str, Any]:
    measured = {
        "metrics": given.metrics.to_dict(),
        "decision": {
            "promoted": given.decision.promoted,
            "reasons": list(given.decision.reasons),
            "checks": [asdict(check) for check in given.decision.checks],
        },
        "findings": None if given.findings is None else [_plain(finding, given) for finding in given.findings],
        "baselines": [asdict(baseline) for baseline in given.baselines],
        "champion": None if given.comparison is None else asdict(given.comparison),
        "drift": None if given.drift is None else _drift(given.drift),
        "leave_one_attack_out": None if given.left_out is None else given.left_out.to_dict(),
        "bundle": job.bundle.to_dict(),
    }
    data = {
        "metrics": (json.dumps(measured, sort_keys=True, allow_nan=False).encode(), "json"),
        "report": (render_report(given).encode(), "html"),
        "model_card": (render_model_card(given).encode(), "md"),
    }
    stored = {name: _put(layers, name, content, suffix) for name, (content, suffix) in data.items()}
    return {
        "uri": stored["metrics"].uri,
        "report": stored["report"].uri,
        "promoted": given.decision.promoted,
        "reasons": list(given.decision.reasons),
        "headline": given.metrics.headline(),
        "table": metrics_table(given.metrics),
        "metrics_object": stored["metrics"].to_dict(),
        "report_object": stored["report"].to_dict(),
        "model_card": stored["model_card"].to_dict(),
    }


def _plain(finding: Finding, given: ReportInput) -> dict[str, Any]:
    return {**asdict(finding), "accepted": finding in accepted(given)}


def _drift(drift: Drift) -> dict[str, Any]:
    levels = [{**asdict(one), "level": one.level} for one in drift.features]
    return {**asdict(drift), "features": levels, "calibration_holds": drift.calibration_holds}


def _put(layers: Layers, name: str, content: bytes, suffix: str) -> Reference:
    sha256 = hashlib.sha256(content).hexdigest()
    return layers.eval.put_bytes(f"{name}/{sha256[:2]}/{sha256}.{suffix}", content)


def metrics_table(metrics: Metrics) -> list[dict[str, Any]]:
    """Return the main figures with their 95 % intervals, a row each."""
    names = ("roc_auc", "average_precision", "detection_rate", "false_positive_rate", "unseen_attack_recall")
    known = [(name, getattr(metrics, name)) for name in names]
    known += [(f"recall: {one.label}", one.recall) for one in metrics.recall_by_attack]
    return [{"metric": name, "value": one.value, "low": one.low, "high": one.high} for name, one in known if one]
