from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.sides import Sides, is_behaviour, is_canonical, is_computed

Traffic = Callable[..., pl.DataFrame]


def test_both_sides_have_the_columns_of_training(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1).drop("toy_rate")
    sides = Sides.of(train, test, ["duration_s", "toy_rate", "absent"])
    assert sides.columns == ("duration_s", "toy_rate")
    assert np.isnan(sides.test.rows[:, 1]).all()
    assert sides.train.attack.sum() == train["is_attack"].sum()


def test_a_kind_is_the_finest_name_that_several_rows_share(make_traffic: Traffic) -> None:
    frame = make_traffic(0)
    assert np.unique(Sides.of(frame, frame, ["duration_s"]).train.kind).size == 5
    one_by_one = frame.with_columns(label_original=pl.int_range(pl.len()).cast(pl.String))
    assert np.unique(Sides.of(one_by_one, frame, ["duration_s"]).train.kind).size == 5
    nameless = frame.with_columns(label=pl.int_range(pl.len()).cast(pl.String))
    assert np.unique(Sides.of(nameless, frame, ["duration_s"]).train.kind).size == 2


@pytest.mark.parametrize(
    ("column", "canonical", "computed", "behaviour"),
    [
        ("duration_s", True, False, False),
        ("history_orig_syn", False, True, False),
        ("resp_port_class", False, True, False),
        ("resp_peers_17s", False, True, True),
        ("pair_gap_cv_3600s", False, True, True),
        ("orig_bytes_per_pkt", False, True, False),
        ("unsw_sttl", False, False, False),
        ("toy_60s", False, False, False),
    ],
)
def test_what_we_compute_is_told_from_what_a_table_brought(
    column: str, canonical: bool, computed: bool, behaviour: bool
) -> None:
    assert (is_canonical(column), is_computed(column), is_behaviour(column)) == (canonical, computed, behaviour)
