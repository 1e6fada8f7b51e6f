"""The evaluation's steps: everything stored under its hash, and figures that agree with the predictions."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.evaluation.evaluate import EvaluationJob, assess, score_test
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.train import train
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

TRAINING = TrainingSpec(trees=10, epochs=1, prototypes=16)
EVALUATION = EvaluationSpec(resamples=50, leakage_rows=1000, top_alerts=3)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Layers:
    return Layers.open(f"file://{tmp_path_factory.mktemp('store')}/{{layer}}")


@pytest.fixture(scope="module")
def job(layers: Layers, tmp_path_factory: pytest.TempPathFactory) -> EvaluationJob:
    folder = tmp_path_factory.mktemp("evaluate")
    simulate(folder / "logs", connections=4000, hours=5.0, attack_fraction=0.06)
    manifest, originals, _ = ingest([str(folder / "logs")], layers.raw)
    spec = TransformationSpec()
    silver, _ = transform(originals, manifest, layers.raw, layers.silver, folder / "scratch", dataset="d", spec=spec)
    trained = train(silver, layers.silver, layers.models, folder, spec=TRAINING, holdout=True, code={})
    return EvaluationJob(
        bundle=trained.bundle,
        version=1,
        train=silver,
        test=None,
        champion=None,
        champion_version=None,
        training=TRAINING,
        evaluation=EVALUATION,
        dataset="d",
        run_id="r1",
        code={"version": "test"},
    )


@pytest.fixture(scope="module")
def predictions(job: EvaluationJob, layers: Layers, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return score_test(job, layers, tmp_path_factory.mktemp("score"))


def test_the_figures_are_those_of_the_predictions(
    job: EvaluationJob, predictions: Reference, layers: Layers, tmp_path: Path
) -> None:
    assessed = assess(job, predictions, layers, tmp_path)
    rows = pl.read_parquet(layers.eval.get_bytes(layers.eval.key(predictions.uri), sha256=predictions.sha256))
    attacks, benign = rows.filter("is_attack"), rows.filter(~pl.col("is_attack"))
    told = assessed["headline"]
    assert (told["rows"], told["attacks"]) == (rows.height, attacks.height)
    assert told["detection_rate"] == pytest.approx(attacks["is_alert"].mean())
    assert told["false_positive_rate"] == pytest.approx(benign["is_alert"].mean())
    for row in assessed["table"]:
        assert row["low"] <= row["value"] <= row["high"], row["metric"]


def test_everything_is_stored_under_its_hash(
    job: EvaluationJob, predictions: Reference, layers: Layers, tmp_path: Path
) -> None:
    assessed = assess(job, predictions, layers, tmp_path)
    for name in ("metrics_object", "report_object", "model_card"):
        reference = Reference.from_dict(assessed[name])
        assert layers.eval.holds(reference)
        assert reference.sha256 in reference.uri
    stored = json.loads(layers.eval.get_bytes(layers.eval.key(assessed["uri"])))
    assert stored["metrics"]["rows"] == assessed["headline"]["rows"]
    assert stored["decision"]["promoted"] == assessed["promoted"]
    assert stored["decision"]["checks"]
    assert {finding["accepted"] for finding in stored["findings"]} == {False}
    assert stored["baselines"]
    assert stored["drift"]["calibration_holds"] in (True, False)
    assert b"SYNTHETIC" in layers.eval.get_bytes(layers.eval.key(assessed["report"]))


def test_a_champion_scores_the_same_rows(job: EvaluationJob, layers: Layers, tmp_path: Path) -> None:
    from dataclasses import replace

    met = replace(job, champion=job.bundle, champion_version=1)
    scored = score_test(met, layers, tmp_path)
    rows = pl.read_parquet(layers.eval.get_bytes(layers.eval.key(scored.uri)))
    assert rows["champion_score"].equals(rows["score"].alias("champion_score"))
    assessed = assess(met, scored, layers, tmp_path)
    assert not assessed["promoted"], "a model is not better than itself"


def test_a_champion_says_nothing_of_rows_that_it_was_trained_on(
    job: EvaluationJob, layers: Layers, tmp_path: Path
) -> None:
    from dataclasses import replace

    champion = train(job.train, layers.silver, layers.models, tmp_path, spec=TRAINING, holdout=False, code={}).bundle
    met = replace(job, champion=champion, champion_version=1)
    scored = score_test(met, layers, tmp_path)
    rows = pl.read_parquet(layers.eval.get_bytes(layers.eval.key(scored.uri)))
    assert rows["champion_score"].null_count() == rows.height > 0
    assessed = assess(met, scored, layers, tmp_path)
    assert not assessed["promoted"]
    labelled = rows["is_attack"].count()
    assert any(f"trained on {labelled:,} of the {labelled:,}" in reason for reason in assessed["reasons"])


def test_what_a_result_depends_on_is_in_its_inputs(job: EvaluationJob) -> None:
    assert job.inputs == (job.bundle, job.train)
    assert job.parameters["evaluation"]["resamples"] == 50
