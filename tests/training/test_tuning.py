"""Tuning: a choice on training rows alone, the same every time, never worse in validation than what was given."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.training import tuning
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import carve_calibration, split
from cybersec_mlops.training.tuning import SPACE, Tuned, tune

MakeRows = Callable[..., pl.DataFrame]

SMALL = {"trees": (5, 10), "depth": (2, 4), "learning_rate": (0.1, 0.3), "prototypes": (16,), "hidden": ((8,),)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SPACE", SMALL)


@pytest.fixture(scope="module")
def given_spec() -> TrainingSpec:
    return TrainingSpec(trees=15, depth=3, epochs=2, prototypes=16, hidden=(8,), threads=1, tune=2, seed=3)


@pytest.fixture
def tuned(make_rows: MakeRows, given_spec: TrainingSpec) -> Tuned:
    return tune(make_rows(900), given_spec)


def test_the_first_trial_has_the_given_settings_and_the_best_is_chosen(tuned: Tuned, given_spec: TrainingSpec) -> None:
    assert tuned.trials[0].settings == {name: getattr(given_spec, name) for name in SMALL}
    assert len(tuned.trials) == 3
    assert len({str(trial.settings) for trial in tuned.trials}) == 3
    best = max(tuned.trials, key=lambda trial: trial.objective)
    assert {name: getattr(tuned.spec, name) for name in SMALL} == best.settings
    told = tuned.to_dict()
    assert [trial["chosen"] for trial in told["trials"]].count(True) == 1
    assert told["split"] == "time"


def test_equal_rows_and_seed_give_equal_trials_in_any_order(
    tuned: Tuned, make_rows: MakeRows, given_spec: TrainingSpec
) -> None:
    shuffled = make_rows(900).sample(fraction=1.0, shuffle=True, seed=1)
    assert tune(shuffled, given_spec) == tuned


def test_calibration_rows_take_no_part(make_rows: MakeRows, given_spec: TrainingSpec) -> None:
    rows = make_rows(900)
    calibration = pl.Series(carve_calibration(rows, given_spec))
    spoiled = rows.with_columns(orig_bytes=pl.when(calibration).then(10**9).otherwise("orig_bytes"))
    assert carve_calibration(spoiled, given_spec).tolist() == calibration.to_list()
    assert tune(spoiled, given_spec) == tune(rows, given_spec)


@pytest.mark.parametrize("seed", [2, 3])
def test_rows_without_time_are_tuned_on_too(make_rows: MakeRows, given_spec: TrainingSpec, seed: int) -> None:
    spec = given_spec.model_copy(update={"tune": 1, "seed": seed})
    held_out = split(make_rows(6000).drop("ts"), spec)
    found = tune(held_out.train, spec)
    assert (found.split, found.spec.seed) == ("stratified", seed)
    assert min(trial.objective for trial in found.trials) > 0


def test_what_was_not_tuned_stays(tuned: Tuned, given_spec: TrainingSpec) -> None:
    kept = {name: value for name, value in tuned.spec.model_dump().items() if name not in SMALL}
    assert kept == {name: value for name, value in given_spec.model_dump().items() if name not in SMALL}


def test_half_of_the_attacks_is_unknown_to_each_detector(make_rows: MakeRows) -> None:
    rows = make_rows(600)
    folds, kinds = tuning._folds(rows.head(400), rows.tail(200), seed=0)
    assert sorted(kinds) == ["Brute Force", "Port Scan"]
    assert [sorted(fold.filter("is_attack")["label"].unique()) for fold in folds] in (
        [["Brute Force"], ["Port Scan"]],
        [["Port Scan"], ["Brute Force"]],
    )


def test_a_single_kind_of_attack_is_judged_as_known(make_rows: MakeRows, given_spec: TrainingSpec) -> None:
    rows = make_rows(900).filter(pl.col("label") != "Port Scan")
    assert tune(rows, given_spec.model_copy(update={"tune": 1})).kinds == 1


def test_many_rows_are_thinned_and_rare_labels_kept(make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "ROWS", 300)
    monkeypatch.setattr(tuning, "KEPT_PER_LABEL", 30)
    rows = make_rows(3000, attacks=0.01)
    thinned = tuning._thinned(rows, TrainingSpec())
    assert 200 < thinned.height < 450
    rare = rows.filter("is_attack")["label"].value_counts().filter(pl.col("count") <= 30)["label"]
    assert (
        thinned.filter(pl.col("label").is_in(rare.implode())).height
        == rows.filter(pl.col("label").is_in(rare.implode())).height
    )


@pytest.mark.parametrize("without", [["label", "is_attack"], []])
def test_without_labels_there_is_nothing_to_tune_by(
    make_rows: MakeRows, given_spec: TrainingSpec, without: list[str]
) -> None:
    spec = given_spec if without else given_spec.model_copy(update={"supervised": "never"})
    with pytest.raises(DataError, match="nothing to judge"):
        tune(make_rows(300).drop(without), spec)


def test_every_candidate_is_a_valid_spec(given_spec: TrainingSpec) -> None:
    for name, values in SPACE.items():
        for value in values:
            assert getattr(TrainingSpec.model_validate({name: value}), name) == value


def test_the_chosen_spec_trains(tuned: Tuned, make_rows: MakeRows) -> None:
    assert fit_detector(make_rows(900), tuned.spec).report["spec"]["trees"] == tuned.spec.trees
