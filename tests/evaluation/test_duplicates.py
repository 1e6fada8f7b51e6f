from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.evaluation.duplicates import check_duplicates

Traffic = Callable[..., pl.DataFrame]
FEATURES = ["duration_s", "orig_bytes", "conn_state"]


def severities(train: pl.DataFrame, test: pl.DataFrame) -> dict[str, str]:
    return {one.check: one.severity for one in check_duplicates(train, test, FEATURES)}


def test_separate_traffic_is_clean(make_traffic: Traffic) -> None:
    assert severities(make_traffic(0), make_traffic(1)) == {"identical_rows": "info", "identical_features": "info"}


@pytest.mark.parametrize("share", [0.005, 0.02, 0.3])
def test_connections_on_both_sides_are_caught(make_traffic: Traffic, share: float) -> None:
    train, test = make_traffic(0), make_traffic(1)
    mixed = pl.concat([test, train.sample(fraction=share, seed=1)])
    (found, _) = check_duplicates(train, mixed, FEATURES)
    assert found.severity == "severe"
    assert found.value == pytest.approx(share / (1 + share), abs=0.001)


def test_alike_connections_at_other_times_are_no_leak(make_traffic: Traffic) -> None:
    train = make_traffic(0)
    later = train.with_columns(pl.col("ts") + pl.duration(days=1))
    found = check_duplicates(train, later, FEATURES)
    assert [(one.check, one.severity, one.value) for one in found] == [
        ("identical_rows", "info", 0.0),
        ("identical_features", "info", 1.0),
    ]


def test_without_time_the_features_decide(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed).drop("ts", "orig_h", "resp_h") for seed in (0, 1))
    seen = [name for name in train.columns if name.startswith("toy") or name in CONNECTION_SCHEMA]
    assert [one.severity for one in check_duplicates(train, test, seen)] == ["info"]
    (found,) = check_duplicates(train, pl.concat([test, train.head(20)]), seen)
    assert (found.check, found.severity) == ("identical_rows", "severe")


def test_rows_alike_only_in_what_the_model_sees_are_no_copies(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed).drop("ts", "orig_h", "resp_h") for seed in (0, 1))
    found = check_duplicates(train, test, ["conn_state", "service"])
    assert [(one.check, one.severity) for one in found] == [("identical_rows", "info"), ("identical_features", "info")]
    assert found[1].value == pytest.approx(1.0, abs=0.01)


def test_with_a_time_and_no_hosts_the_same_instant_and_features_decide(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed, start=start).drop("orig_h", "resp_h") for seed, start in ((0, 0), (1, 10**12)))
    assert severities(train, test)["identical_rows"] == "info"
    assert severities(train, pl.concat([test, train.head(30)]))["identical_rows"] == "severe"
    repeated = train.with_columns(pl.col("ts") + pl.duration(days=9))
    assert severities(train, repeated)["identical_rows"] == "info"


def test_one_row_on_both_sides_is_chance(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1).head(60)
    assert severities(train, pl.concat([test, train.head(1)]))["identical_rows"] == "info"
    assert severities(train, pl.concat([test, train.head(2)]))["identical_rows"] == "severe"


def test_another_table_may_share_a_few_rows(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed).drop("ts", "orig_h", "resp_h") for seed in (0, 1))
    other = pl.concat([test, train.head(90)]).with_columns(raw_sha256=pl.lit("bb"))
    assert severities(train, other) == {"identical_rows": "info"}
    more = pl.concat([other, train.head(300).with_columns(raw_sha256=pl.lit("bb"))])
    assert severities(train, more) == {"identical_rows": "severe"}


def test_nothing_in_common_is_nothing_known(make_traffic: Traffic) -> None:
    train = make_traffic(0)
    (found,) = check_duplicates(train, train.select("label"), FEATURES)
    assert found.value == 0.0
