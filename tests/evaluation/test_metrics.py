from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cybersec_mlops.errors import DataError
from cybersec_mlops.evaluation.metrics import MAX_ATTACKS, Metrics, measure
from cybersec_mlops.evaluation.spec import EvaluationSpec

Traffic = Callable[..., pl.DataFrame]
Score = Callable[[pl.DataFrame], pl.DataFrame]
SPEC = EvaluationSpec(resamples=60)


def run(scored: pl.DataFrame, **changes: Any) -> Metrics:
    given = {"threshold": 2.3, "nominal": 0.01, "thresholds": {0.01: 2.3}, "training_attacks": {"scan"}, "spec": SPEC}
    return measure(scored, **{**given, **changes})


@pytest.fixture(scope="module")
def scored(make_traffic: Traffic, score_traffic: Score) -> pl.DataFrame:
    return score_traffic(make_traffic(3))


def test_the_figures_are_those_of_their_definitions(scored: pl.DataFrame) -> None:
    found = run(scored)
    attack, alert = scored["is_attack"].to_numpy(), scored["is_alert"].to_numpy()
    assert found.roc_auc is not None
    assert found.roc_auc.value == pytest.approx(roc_auc_score(attack, scored["score"]))
    assert found.average_precision is not None
    assert found.average_precision.value == pytest.approx(average_precision_score(attack, scored["score"]))
    assert found.detection_rate is not None
    assert found.detection_rate.value == pytest.approx(alert[attack].mean())
    assert found.false_positive_rate is not None
    assert found.false_positive_rate.value == pytest.approx(alert[~attack].mean())
    assert found.precision is not None
    assert found.precision.value == pytest.approx(attack[alert].mean())
    tpr, fpr = found.detection_rate.value, found.false_positive_rate.value
    assert found.precision_at_prevalence is not None
    assert found.precision_at_prevalence.value == pytest.approx(0.001 * tpr / (0.001 * tpr + 0.999 * fpr))


def test_recall_per_attack_adds_up_and_says_what_training_knew(scored: pl.DataFrame) -> None:
    found = run(scored)
    assert sum(one.rows for one in found.recall_by_attack) == found.attacks
    assert sum(one.detected for one in found.recall_by_attack) == int(scored.filter("is_attack")["is_alert"].sum())
    assert {one.label for one in found.recall_by_attack if one.in_training} == {"scan"}
    unseen = scored.filter(pl.col("is_attack") & (pl.col("label") != "scan"))
    assert found.unseen_attacks == unseen.height
    assert found.unseen_attack_recall is not None
    assert found.unseen_attack_recall.value == pytest.approx(unseen["is_alert"].mean())


def test_background_and_unlabelled_rows_are_counted_and_in_no_metric(scored: pl.DataFrame) -> None:
    loud = scored.head(200).with_columns(
        is_attack=pl.lit(None, pl.Boolean),
        label=pl.when(pl.int_range(pl.len()) < 50).then(pl.lit("BACKGROUND")).otherwise(None),
        score=pl.lit(99.0),
        is_alert=pl.lit(value=True),
        ts=pl.lit(None, scored.schema["ts"]),
    )
    alone, mixed = run(scored), run(pl.concat([scored, loud]))
    assert (mixed.rows, mixed.background, mixed.unlabelled) == (scored.height + 200, 50, 150)
    assert mixed.alerts == alone.alerts + 200
    for name in ("roc_auc", "average_precision", "detection_rate", "false_positive_rate", "unseen_attack_recall"):
        assert getattr(mixed, name) == getattr(alone, name)
    assert mixed.rows == mixed.attacks + mixed.benign + mixed.background + mixed.unlabelled


def test_without_attacks_only_false_positives_are_known(scored: pl.DataFrame) -> None:
    found = run(scored.filter(~pl.col("is_attack")))
    assert found.false_positive_rate is not None
    for name in ("roc_auc", "average_precision", "detection_rate", "precision", "precision_at_prevalence"):
        assert getattr(found, name) is None
    assert found.unseen_attack_recall is None
    assert found.recall_at == ()
    assert found.headline()["attacks"] == 0


def test_without_labels_everything_that_needs_them_is_null(scored: pl.DataFrame) -> None:
    bare = scored.with_columns(is_attack=pl.lit(None, pl.Boolean), label=pl.lit(None, pl.String))
    headline = run(bare, training_attacks=None).headline()
    assert headline.pop("rows") == scored.height
    assert headline.pop("recall_by_attack") == {}
    assert headline.pop("nominal_false_positive_rate") == 0.01
    assert set(headline.values()) == {None}


def test_unknown_training_attacks_make_no_unseen_ones(scored: pl.DataFrame) -> None:
    found = run(scored, training_attacks=None)
    assert found.unseen_attack_recall is None
    assert found.unseen_attacks is None
    assert {one.in_training for one in found.recall_by_attack} == {None}


def test_neither_row_order_nor_column_order_changes_a_figure(scored: pl.DataFrame) -> None:
    mixed = scored.sample(fraction=1.0, shuffle=True, seed=1).select(reversed(scored.columns))
    assert run(mixed).headline() == run(scored).headline()


def test_the_same_input_gives_the_same_json_without_a_nan(scored: pl.DataFrame) -> None:
    texts = [json.dumps(run(scored).to_dict(), allow_nan=False) for _ in range(2)]
    assert texts[0] == texts[1]


def test_every_frozen_threshold_is_judged(scored: pl.DataFrame) -> None:
    found = run(scored, thresholds={0.05: 1.7, 0.001: 3.1})
    assert [point.nominal for point in found.operating_points] == [0.001, 0.05]
    strict, loose = found.operating_points
    assert strict.alerts < loose.alerts == int((scored["score"] >= 1.7).sum())
    assert strict.alerts_per_day is not None
    assert found.activity.observed_days is not None
    assert strict.alerts_per_day == pytest.approx(strict.alerts / found.activity.observed_days)


def test_calibration_errors_see_a_collapse(scored: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    belief = rng.random(4000)
    attack = rng.random(4000) < belief
    honest = pl.DataFrame({"score": belief, "supervised_score": belief, "is_alert": belief > 0.9, "is_attack": attack})
    honest = honest.with_columns(label=pl.when("is_attack").then(pl.lit("a")).otherwise(pl.lit("BENIGN")))
    boastful = honest.with_columns(supervised_score=(pl.col("supervised_score") > 0.5).cast(pl.Float64))
    errors = [run(one).expected_calibration_error for one in (honest, boastful)]
    assert errors[0] is not None
    assert errors[1] is not None
    assert errors[0].value < 0.03
    assert errors[1].value == pytest.approx(0.25, abs=0.03)
    assert errors[0].low <= errors[0].value <= errors[0].high
    logits = honest.with_columns(supervised_score=pl.col("supervised_score") * 9)
    assert run(logits).expected_calibration_error is None


def test_uniform_p_values_of_benign_rows_have_no_error() -> None:
    p = (np.arange(1000) + 0.5) / 1000
    frame = pl.DataFrame(
        {"score": -p, "p_value": p, "is_alert": p < 0.01, "is_attack": p < 0, "label": ["BENIGN"] * 1000}
    )
    assert run(frame).p_value_error == pytest.approx(0.0, abs=1e-9)
    assert run(frame.with_columns(p_value=pl.col("p_value") ** 4)).p_value_error == pytest.approx(0.3, abs=0.01)


def test_a_label_in_every_row_does_not_flood_the_result() -> None:
    rows = MAX_ATTACKS + 300
    frame = pl.DataFrame({"score": np.arange(rows, dtype=float), "label": [f"a{i}" for i in range(rows)]})
    found = run(frame.with_columns(is_alert=pl.lit(value=True), is_attack=pl.lit(value=True)))
    assert len(found.recall_by_attack) == MAX_ATTACKS
    assert found.attack_names == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("score"), "column score of the scored rows is None"),
        (lambda f: f.with_columns(score=pl.lit(float("nan"))), "scores are missing"),
        (lambda f: f.with_columns(score=pl.lit(None, pl.Float64)), "scores are missing"),
        (lambda f: f.clear(), "no row to evaluate"),
        (lambda f: f.with_columns(is_alert=pl.lit(1)), "is_alert"),
    ],
)
def test_what_cannot_be_measured_is_an_error(
    scored: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(change(scored))
