from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.training.matrix import Encoder, fit_encoder
from cybersec_mlops.training.novelty import (
    Novelty,
    calibrate_novelty,
    fit_novelty_model,
    least_isolated,
    part_of,
    summed_columns,
)
from cybersec_mlops.training.spec import TrainingSpec

MakeRows = Callable[..., pl.DataFrame]


def novelty_of(rows: pl.DataFrame, held_out: pl.DataFrame, spec: TrainingSpec) -> tuple[Encoder, Novelty]:
    encoder, _ = fit_encoder(rows, categories=8)
    model = fit_novelty_model(encoder.encode(rows), len(encoder.numeric), spec)
    return encoder, calibrate_novelty(model, encoder.encode(held_out))


@pytest.fixture(scope="module")
def benign_only(make_rows: MakeRows, small_spec: TrainingSpec) -> tuple[Encoder, Novelty]:
    return novelty_of(make_rows(1500, attacks=0), make_rows(400, attacks=0, seed=1), small_spec)


def test_attacks_that_it_never_saw_stand_out(make_rows: MakeRows, benign_only: tuple[Encoder, Novelty]) -> None:
    encoder, novelty = benign_only
    rows = make_rows(1000, seed=2)
    scores = novelty.score(encoder.encode(rows))
    is_attack = rows["is_attack"].to_numpy()
    assert np.median(scores[is_attack]) > np.quantile(scores[~is_attack], 0.95)


def test_screening_keeps_attacks_among_unlabelled_rows_out(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(3000, attacks=0.04, seed=3)
    encoder, _ = fit_encoder(rows, categories=8)
    kept = least_isolated(encoder.encode(rows), len(encoder.numeric), trim=0.1, seed=0)
    is_scan = (rows["label"] == "Port Scan").to_numpy()
    assert kept.mean() == pytest.approx(0.9, abs=0.01)
    assert is_scan[kept].sum() < 0.1 * is_scan.sum()


def test_a_few_attacks_among_unlabelled_rows_do_not_blind_it(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    dirty, new = make_rows(3000, attacks=0.04, seed=3), make_rows(1000, seed=5)
    encoder, _ = fit_encoder(dirty, categories=8)
    is_scan, is_attack = (
        (new[name] == value).to_numpy() for name, value in (("label", "Port Scan"), ("is_attack", True))
    )
    above = []
    for screen in (True, False):
        model = fit_novelty_model(encoder.encode(dirty), len(encoder.numeric), small_spec, screen=screen)
        scores = np.sum(model.views(encoder.encode(new)), axis=0)
        above.append((scores[is_scan] > np.quantile(scores[~is_attack], 0.95)).mean())
    assert above[0] > 0.9 > above[1]


def test_column_errors_sum_to_one_and_point_at_what_changed(
    make_rows: MakeRows, benign_only: tuple[Encoder, Novelty]
) -> None:
    encoder, novelty = benign_only
    rows = make_rows(200, attacks=0, seed=6).with_columns(orig_bytes=pl.lit(10**12))
    shares = novelty.model.column_errors(encoder.encode(rows))
    assert np.allclose(shares.sum(axis=1), 1)
    assert encoder.columns[int(shares.mean(axis=0).argmax())] == "orig_bytes"


def test_more_rows_than_wanted_are_sampled_by_seed(make_rows: MakeRows, small_spec: TrainingSpec) -> None:
    rows = make_rows(1300, attacks=0)
    encoder, _ = fit_encoder(rows, categories=8)
    matrix = encoder.encode(rows)
    spec = small_spec.model_copy(update={"novelty_rows": 1000})
    first, again = (fit_novelty_model(matrix, len(encoder.numeric), spec) for _ in range(2))
    whole = fit_novelty_model(matrix, len(encoder.numeric), small_spec)
    assert np.array_equal(first.prototypes, again.prototypes)
    assert not np.array_equal(first.prototypes, whole.prototypes)


def test_arrays_round_trip(make_rows: MakeRows, benign_only: tuple[Encoder, Novelty]) -> None:
    encoder, novelty = benign_only
    matrix = encoder.encode(make_rows(100, seed=7))
    assert np.array_equal(Novelty.from_arrays(novelty.arrays()).score(matrix), novelty.score(matrix))


@pytest.mark.parametrize("usual", [np.ones(3), np.array([]), None])
def test_arrays_that_do_not_fit_are_refused(usual: np.ndarray | None, benign_only: tuple[Encoder, Novelty]) -> None:
    arrays = benign_only[1].arrays()
    broken = np.full_like(arrays["usual"], np.nan) if usual is None else usual
    with pytest.raises(ValueError, match="what is usual around"):
        Novelty.from_arrays({**arrays, "usual": broken})


def test_part_of_and_summed_columns() -> None:
    one = np.ones(1)
    assert list(part_of({"a.x": one, "a.y.z": one, "ab": one, "b.x": one}, "a")) == ["x", "y.z"]
    assert summed_columns(np.array([[1.0, 2.0, 4.0]]), np.array([1, 0, 1]), 3).tolist() == [[2.0, 5.0, 0.0]]
