from __future__ import annotations

import numpy as np
import pytest

from cybersec_mlops.evaluation.kinship import Kinship, measure_kinship
from cybersec_mlops.evaluation.sides import Side

COLUMNS = ("orig_bytes", "orig_pkts", "bytes_per_s", "toy")


def kinship(toy: np.ndarray, kind: np.ndarray, *, related: float = 1.0) -> Kinship:
    rng = np.random.default_rng(1)
    size = rng.normal(size=kind.size)
    others = [size, *(related * size + rng.normal(size=kind.size) for _ in range(2))]
    rows = np.column_stack([*others, toy]).astype(np.float32)
    return measure_kinship(Side(rows, kind > 0, kind.astype(np.int64)), COLUMNS)[3]


@pytest.fixture
def kind() -> np.ndarray:
    return np.random.default_rng(0).choice(4, 4000, p=[0.7, 0.1, 0.1, 0.1])


def test_one_value_for_each_kind_is_a_copy(kind: np.ndarray) -> None:
    assert kinship(np.array([3.0, 0.0, 1.0, 2.0])[kind], kind).is_copy
    assert not kinship(kind + (np.arange(kind.size) % 7 == 0), kind).is_copy


def test_a_noisy_label_stands_alone_and_a_measurement_does_not(kind: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    noisy = (kind > 0) ^ (rng.random(kind.size) < 0.05)
    assert kinship(noisy, kind).is_alone
    size = np.random.default_rng(1).normal(size=kind.size)
    assert not kinship(size + 5 * (kind > 0) + rng.normal(size=kind.size), kind).is_alone


def test_where_nothing_goes_together_nothing_stands_alone(kind: np.ndarray) -> None:
    noisy = (kind > 0) ^ (np.random.default_rng(2).random(kind.size) < 0.05)
    assert not kinship(noisy, kind, related=0.0).is_alone


def test_few_rows_say_nothing_about_standing_alone(kind: np.ndarray) -> None:
    few = kind[:500]
    noisy = (few > 0) ^ (np.random.default_rng(2).random(few.size) < 0.05)
    assert not kinship(noisy, few).is_alone


def test_what_is_unset_by_kind_is_seen_whatever_its_values(kind: np.ndarray) -> None:
    size = np.random.default_rng(1).normal(size=kind.size)
    assert kinship(np.where(kind > 0, np.nan, size), kind).is_set_by_kind
    assert not kinship(np.where((kind > 0) & (size > -1), np.nan, size), kind).is_set_by_kind
    assert not kinship(size, kind).is_set_by_kind


def test_two_clusters_far_apart_are_tight(kind: np.ndarray) -> None:
    size = np.random.default_rng(1).normal(size=kind.size)
    assert kinship(1e-4 * size + (kind > 0), kind).is_tight
    assert not kinship(size + (kind > 0), kind).is_tight
