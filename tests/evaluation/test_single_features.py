from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.sides import Sides
from cybersec_mlops.evaluation.single_features import check_single_features, measure_strengths

Traffic = Callable[..., pl.DataFrame]
FEATURES = ["duration_s", "orig_bytes", "resp_bytes", "conn_state", "toy_rate", "toy_noise"]
Plant = Callable[[pl.DataFrame, np.random.Generator], pl.Series]


def audited(train: pl.DataFrame, test: pl.DataFrame, features: list[str]) -> list[Finding]:
    sides = Sides.of(train, test, features)
    return check_single_features(sides, measure_strengths(sides), seed=0)


LEAKS: dict[str, Plant] = {
    "a copy": lambda frame, _: frame["is_attack"].cast(pl.Float64),
    "its opposite": lambda frame, _: (~frame["is_attack"]).cast(pl.Float64),
    "with noise": lambda frame, rng: pl.Series(frame["is_attack"].to_numpy() + rng.normal(0, 0.1, frame.height)),
    "2 % wrong": lambda frame, rng: pl.Series(
        (frame["is_attack"].to_numpy() ^ (rng.random(frame.height) < 0.02)) * 1.0
    ),
    "a name": lambda frame, _: frame["label"].str.head(3),
    "unset for attacks": lambda frame, rng: pl.Series(np.where(frame["is_attack"], np.nan, 1.0)),
    "a shifted id": lambda frame, _: pl.Series(np.arange(frame.height) + 1e6 * frame["is_attack"].to_numpy()),
}


@pytest.mark.parametrize("how", LEAKS)
def test_a_planted_leak_is_severe_whatever_its_shape(make_traffic: Traffic, how: str) -> None:
    rng = np.random.default_rng(5)
    train, test = (
        frame.with_columns(LEAKS[how](frame, rng).alias("toy_leak")) for frame in (make_traffic(0), make_traffic(1))
    )
    found = audited(train, test, [*FEATURES, "toy_leak"])
    assert [(one.severity, one.columns) for one in found if one.severity == "severe"] == [("severe", ("toy_leak",))]


def test_a_leak_in_a_canonical_column_is_severe_where_the_others_know_less(make_traffic: Traffic) -> None:
    train, test = (make_traffic(seed).with_columns(orig_bytes=pl.col("is_attack") * 1000) for seed in (0, 1))
    one_kind = pl.when("is_attack").then(pl.lit("Malicious")).otherwise("label").alias("label")
    (found,) = [
        one
        for one in audited(train.with_columns(one_kind), test.with_columns(one_kind), FEATURES)
        if one.severity == "severe"
    ]
    assert found.columns == ("orig_bytes",)


def test_a_leak_that_stands_alone_is_severe_also_where_the_others_together_know_as_much(make_traffic: Traffic) -> None:
    """Twenty weak features know the label between them; one canonical column knows it alone."""
    rng = np.random.default_rng(0)
    weak = [f"toy_{i}" for i in range(30)]

    def planted(frame: pl.DataFrame) -> pl.DataFrame:
        attack = frame["is_attack"].to_numpy()
        columns = {name: rng.normal(size=frame.height) + 0.9 * attack for name in weak}
        one_kind = pl.when("is_attack").then(pl.lit("Malicious")).otherwise("label").alias("label")
        return frame.with_columns(one_kind, duration_s=pl.col("is_attack") * 1.0, **columns)

    found = audited(planted(make_traffic(0)), planted(make_traffic(1)), ["duration_s", *weak])
    (one,) = [finding for finding in found if finding.severity == "severe"]
    assert one.columns == ("duration_s",)
    assert "nothing else" in one.text


def test_honest_traffic_has_no_severe_finding(make_traffic: Traffic) -> None:
    for seed in range(5):
        (found,) = audited(make_traffic(seed), make_traffic(seed + 100), FEATURES)
        assert found.severity == "info"


def test_an_easy_attack_is_not_called_a_leak(make_traffic: Traffic) -> None:
    """One kind of attack that several behaviours betray: strong, honest, and the others know as much."""

    def easy(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(pl.col("label").is_in(["BENIGN", "scan"])).with_columns(
            conn_state=pl.when("is_attack").then(pl.lit("S0")).otherwise(pl.lit("SF")),
            resp_bytes=pl.when("is_attack").then(0).otherwise("resp_bytes"),
        )

    found = audited(easy(make_traffic(0)), easy(make_traffic(1)), FEATURES)
    assert {one.severity for one in found} == {"warning"}


@pytest.mark.parametrize("side", [0, 1])
def test_a_leak_on_one_side_alone_is_severe(make_traffic: Traffic, side: int) -> None:
    frames = [frame.with_columns(toy_id=pl.int_range(pl.len()) * 1.0) for frame in (make_traffic(0), make_traffic(1))]
    frames[side] = frames[side].with_columns(toy_id=pl.col("is_attack") * 1e6 + pl.col("toy_id"))
    (found,) = [one for one in audited(frames[0], frames[1], [*FEATURES, "toy_id"]) if one.severity == "severe"]
    assert found.columns == ("toy_id",)
    assert ("in the training rows" if side == 0 else "in the test rows") in found.text


def test_what_separates_only_the_training_rows_is_a_warning(make_traffic: Traffic) -> None:
    train, test = make_traffic(0), make_traffic(1)
    train = train.with_columns(toy_rate=pl.col("toy_rate") + 12 * pl.col("is_attack").cast(pl.Float64))
    found = audited(train, test, FEATURES)
    assert ("warning", ("toy_rate",)) in [(one.severity, one.columns) for one in found]


def with_kin(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows as traffic has them: what is measured of one connection goes together."""
    rng = np.random.default_rng(int(frame["orig_bytes"].sum()))
    return frame.with_columns(
        orig_pkts=pl.col("orig_bytes") // 90 + pl.Series(rng.poisson(2, frame.height)),
        resp_pkts=pl.col("resp_bytes") // 900 + pl.Series(rng.poisson(2, frame.height)),
        duration_s=pl.col("duration_s") * pl.col("orig_bytes").log1p(),
        toy_load=pl.col("toy_rate") + pl.Series(rng.normal(size=frame.height)),
    )


@pytest.mark.parametrize("wrong", [0.05, 0.1, 0.2])
def test_a_label_with_errors_is_severe_where_honest_columns_go_together(make_traffic: Traffic, wrong: float) -> None:
    rng = np.random.default_rng(3)
    train, test = (
        with_kin(frame).with_columns(toy_leak=pl.Series(frame["is_attack"].to_numpy() ^ (rng.random(3000) < wrong)))
        for frame in (make_traffic(0), make_traffic(1))
    )
    features = [*FEATURES, "orig_pkts", "resp_pkts", "toy_load", "toy_leak"]
    severe = [one for one in audited(train, test, features) if one.severity == "severe"]
    assert [one.columns for one in severe] == [("toy_leak",)]
    assert "goes with no other column" in severe[0].text


def test_honest_traffic_whose_columns_go_together_has_no_severe_finding(make_traffic: Traffic) -> None:
    features = [*FEATURES, "orig_pkts", "resp_pkts", "toy_load"]
    for seed in range(5):
        found = audited(with_kin(make_traffic(seed)), with_kin(make_traffic(seed + 100)), features)
        assert {one.severity for one in found} == {"info"}


def test_a_column_of_ours_is_no_leak_however_well_it_parts_the_classes(make_traffic: Traffic) -> None:
    """One attacker in a quiet network: the count of its connections is all that it takes."""
    rng = np.random.default_rng(0)
    train, test = (
        frame.with_columns(
            orig_conns_60s=pl.Series(rng.integers(0, 9, frame.height) + 100 * frame["is_attack"].to_numpy())
        )
        for frame in (make_traffic(0), make_traffic(1))
    )
    found = audited(train, test, [*FEATURES, "orig_conns_60s"])
    assert {one.severity for one in found} == {"warning"}
