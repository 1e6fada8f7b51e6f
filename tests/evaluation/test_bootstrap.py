from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.evaluation.bootstrap import Blocks, Bootstrap, Estimate, hull, wilson
from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, Ranking, average_precision, recall_at, roc_auc


def sample(rows: int, seed: int, shift: float = 1.0) -> tuple[BoolArray, FloatArray]:
    rng = np.random.default_rng(seed)
    attack = rng.random(rows) < 0.3
    attack[:2] = [True, False]
    return attack, rng.normal(size=rows) + shift * attack


@given(st.integers(1, 2000), st.data())
@settings(max_examples=60, deadline=None)
def test_wilson_contains_the_rate_and_stays_in_bounds(tries: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, tries))
    found = wilson(hits, tries)
    assert 0 <= found.low <= found.value == hits / tries <= found.high <= 1
    assert found.high - found.low > 0


def test_wilson_gives_the_published_figures() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    for hits, tries, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = wilson(hits, tries)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("hits", "tries"), [(0, 0), (3, 2), (-1, 2)])
def test_an_impossible_count_is_refused(hits: int, tries: int) -> None:
    with pytest.raises(ValueError, match="tries"):
        wilson(hits, tries)


@pytest.mark.parametrize("blocks", [None, "time", "host"])
def test_every_interval_contains_its_figure(blocks: str | None) -> None:
    for seed in range(5):
        attack, score = sample(600, seed)
        rng = np.random.default_rng(seed)
        found = {
            "time": Blocks.by_time(np.arange(600)),
            "host": Blocks.by_host(rng.integers(0, 40, 600), seed),
            None: None,
        }
        bootstrap = Bootstrap(attack, found[blocks], resamples=100, seed=seed)
        figures = bootstrap.ranked(Ranking.of(attack, score), roc_auc, average_precision, recall_at(0.05))
        for figure in (*figures, bootstrap.rate(score > 1, attack), bootstrap.rate(score > 1, ~attack)):
            assert figure is not None
            assert figure.low <= figure.value <= figure.high
            assert figure.low < figure.high


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    attack, score = sample(500, 0)
    ranking = Ranking.of(attack, score)
    first, again, other = (Bootstrap(attack, resamples=100, seed=seed).ranked(ranking, roc_auc) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_intervals_of_rows_cover_the_truth_about_as_often_as_they_say() -> None:
    """ROC-AUC of two unit normals one apart is 0.7602; a 95 % interval misses it in about 5 of 100 samples."""
    missed = 0
    for seed in range(60):
        attack, score = sample(300, seed)
        (found,) = Bootstrap(attack, resamples=200, seed=seed).ranked(Ranking.of(attack, score), roc_auc)
        assert found is not None
        missed += not found.low <= 0.7602 <= found.high
    assert missed <= 8


def test_rows_that_resemble_each_other_make_the_interval_wider() -> None:
    """Copies of a row are no new evidence: blocks of time must not narrow the interval because of them."""
    attack, score = sample(400, 1)
    many = np.repeat(attack, 20), np.repeat(score, 20)
    ranking = Ranking.of(*many)
    (by_row,) = Bootstrap(many[0], resamples=200).ranked(ranking, roc_auc)
    (by_time,) = Bootstrap(many[0], Blocks.by_time(np.arange(8000)), resamples=200).ranked(ranking, roc_auc)
    assert by_row is not None
    assert by_time is not None
    assert by_time.high - by_time.low > 2 * (by_row.high - by_row.low)


def test_a_faultless_ranking_of_few_attacks_does_not_claim_certainty() -> None:
    attack = np.array([True] * 3 + [False] * 100)
    (found,) = Bootstrap(attack, resamples=100).ranked(Ranking.of(attack, attack.astype(np.float64)), roc_auc)
    assert found is not None
    assert found.value == found.high == 1.0
    assert found.low < 0.5


def test_one_class_gives_none() -> None:
    attack = np.zeros(10, dtype=np.bool_)
    bootstrap = Bootstrap(attack, resamples=50)
    assert bootstrap.ranked(Ranking.of(attack, np.arange(10.0)), roc_auc, average_precision) == (None, None)
    assert bootstrap.rate(attack, attack) is None


def test_counts_add_up_to_the_rows() -> None:
    attack, _ = sample(300, 0)
    for counts in Bootstrap(attack, Blocks.by_time(np.arange(300)), resamples=60).counts(np.ones(300, dtype=np.bool_)):
        assert counts.shape == (60,)
        assert counts.mean() == pytest.approx(300, rel=0.05)


def test_a_difference_is_zero_for_the_same_score_and_clear_for_a_better_one() -> None:
    attack, score = sample(2000, 0)
    bootstrap = Bootstrap(attack, resamples=100)
    one, same = Ranking.of(attack, score), Ranking.of(attack, 2 * score)
    better = Ranking.of(attack, score + attack)
    assert bootstrap.difference(one, same, roc_auc) == Estimate(0.0, 0.0, 0.0)
    lead = bootstrap.difference(better, one, roc_auc)
    assert lead is not None
    assert lead.low > 0


def test_pairing_is_tighter_than_two_intervals() -> None:
    attack, score = sample(2000, 0)
    nearly = score + np.random.default_rng(9).normal(scale=0.05, size=2000)
    bootstrap = Bootstrap(attack, resamples=200)
    one, other = Ranking.of(attack, score), Ranking.of(attack, nearly)
    lead, (alone,) = bootstrap.difference(one, other, roc_auc), bootstrap.ranked(one, roc_auc)
    assert lead is not None
    assert alone is not None
    assert lead.high - lead.low < (alone.high - alone.low) / 2


def test_blocks_by_time_are_contiguous_and_keep_equal_times_together() -> None:
    stamps = np.sort(np.random.default_rng(0).integers(0, 300, 5000))
    blocks = Blocks.by_time(stamps)
    assert blocks is not None
    assert (np.diff(blocks.index) >= 0).all()
    assert blocks.count == blocks.index.max() + 1
    assert all(len(set(blocks.index[stamps == stamp])) == 1 for stamp in np.unique(stamps))


def test_too_few_rows_or_hosts_make_no_blocks() -> None:
    assert Blocks.by_time(np.arange(50)) is None
    assert Blocks.by_time(np.zeros(5000, dtype=np.int64)) is None
    assert Blocks.by_host(np.zeros(5000, dtype=np.int64), 0) is None


def test_blocks_prefer_time_then_hosts_then_none() -> None:
    frame = pl.DataFrame({"ts": pl.Series(np.arange(1000)).cast(pl.Datetime("us", "UTC"))}).with_columns(
        orig_h=pl.Series([f"h{i % 30}" for i in range(1000)])
    )
    hostless = frame.with_columns(ts=pl.lit(None, pl.Datetime("us", "UTC")))
    kinds = [Blocks.of(one, 0) for one in (frame, hostless, hostless.drop("orig_h"))]
    assert [blocks and blocks.kind for blocks in kinds] == ["time", "host", None]


def test_a_sample_that_is_mostly_undefined_is_left_out() -> None:
    assert hull(0.5, [np.array([np.nan, np.nan, 0.1])]) == Estimate(0.5, 0.5, 0.5)


def test_a_million_rows_take_a_second_or_two() -> None:
    attack, score = sample(1_000_000, 0)
    blocks = Blocks.by_time(np.arange(1_000_000))
    start = time.process_time()
    Bootstrap(attack, blocks, resamples=500).ranked(
        Ranking.of(attack, score), roc_auc, average_precision, recall_at(0.01)
    )
    assert time.process_time() - start < 6
