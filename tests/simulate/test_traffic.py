"""The laws of simulated traffic: exact, ordered, repeatable, and never a connection that cannot be."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cybersec_mlops.connections import CONNECTION_SCHEMA, is_feature
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.simulate.attacks import ATTACKS
from cybersec_mlops.simulate.traffic import TRAFFIC_SCHEMA, Plan, attacks_by_kind, simulate_traffic
from cybersec_mlops.transformation.behaviour import add_behaviour
from cybersec_mlops.transformation.derived import add_derived

STATES = {"S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"}


def whole(plan: Plan, slice_rows: int = 131_072) -> pl.DataFrame:
    return pl.concat(simulate_traffic(plan, slice_rows=slice_rows))


@pytest.fixture(scope="module")
def day() -> pl.DataFrame:
    return whole(Plan(connections=60_000, attack_fraction=0.03))


@settings(max_examples=12, deadline=None)
@given(
    connections=st.integers(1, 3000),
    hours=st.floats(0.02, 200),
    seed=st.integers(0, 2**63 - 1),
    fraction=st.floats(0, 0.5),
    slice_rows=st.integers(100, 5000),
)
def test_the_counts_are_exact_and_time_only_goes_forward(
    connections: int, hours: float, seed: int, fraction: float, slice_rows: int
) -> None:
    plan = Plan(connections, hours, seed=seed, attack_fraction=fraction)
    rows = whole(plan, slice_rows)
    assert rows.height == connections
    assert rows["attack"].count() == plan.attacks == round(connections * fraction)
    assert dict(rows["attack"].drop_nulls().value_counts().iter_rows()) == attacks_by_kind(plan)
    assert rows["ts"].is_sorted()
    assert rows["ts"][0] >= plan.start
    assert rows["ts"][-1] < plan.start + timedelta(hours=hours)
    assert rows["uid"].n_unique() == connections
    assert rows.schema == pl.Schema(TRAFFIC_SCHEMA)


@pytest.mark.parametrize("slice_rows", [700, 5_000, 20_000])
def test_the_slice_size_changes_nothing(slice_rows: int) -> None:
    plan = Plan(connections=20_000, hours=30, seed=3)
    assert_frame_equal(whole(plan, slice_rows), whole(plan))


def test_the_same_plan_gives_the_same_traffic_and_another_seed_does_not() -> None:
    one, again, other = (whole(Plan(connections=2_000, seed=seed)) for seed in (5, 5, 6))
    assert_frame_equal(one, again)
    assert not one["ts"].equals(other["ts"])
    assert not set(one["uid"]) & set(other["uid"])


def test_a_start_in_another_zone_is_the_same_moment() -> None:
    plus_two = datetime(2026, 3, 2, 2, tzinfo=timezone(timedelta(hours=2)))
    here = whole(Plan(connections=500, start=plus_two))
    assert_frame_equal(here, whole(Plan(connections=500, start=datetime(2026, 3, 2, tzinfo=UTC))))


def test_it_uses_the_canonical_columns(day: pl.DataFrame) -> None:
    assert dict(day.schema) == {**CONNECTION_SCHEMA, "attack": pl.String()}
    filled = set(day.columns) - {"service", "duration_s", "orig_bytes", "resp_bytes", "history", "attack"}
    assert day.select(filled).null_count().sum_horizontal().item() == 0


def test_every_value_is_in_its_range(day: pl.DataFrame) -> None:
    assert set(day["proto"]) == {"tcp", "udp", "icmp"}
    assert set(day["conn_state"]) <= STATES
    assert day["orig_p"].is_between(0, 65_535).all()
    assert day["resp_p"].is_between(0, 65_535).all()
    assert (day["duration_s"].drop_nulls() > 0).all()
    for column in (
        "orig_bytes",
        "resp_bytes",
        "orig_pkts",
        "resp_pkts",
        "orig_ip_bytes",
        "resp_ip_bytes",
        "missed_bytes",
    ):
        assert (day[column].drop_nulls() >= 0).all(), column
    assert ((day["orig_pkts"] + day["resp_pkts"]) > 0).all()
    microseconds = day["duration_s"].drop_nulls().to_numpy() * 1e6
    assert np.abs(microseconds - np.rint(microseconds)).max() < 1e-3


def test_a_single_packet_has_neither_duration_nor_bytes(day: pl.DataFrame) -> None:
    single = day["orig_pkts"] + day["resp_pkts"] == 1
    for column in ("duration_s", "orig_bytes", "resp_bytes"):
        assert (day[column].is_null() == single).all(), column
    assert single.sum() > 100


@pytest.mark.parametrize("side", ["orig", "resp"])
def test_ip_bytes_hold_the_payload_and_the_headers(day: pl.DataFrame, side: str) -> None:
    header = pl.when(pl.col("proto") == "tcp").then(20).otherwise(8)
    header += pl.when(pl.col("orig_h").str.contains(":")).then(40).otherwise(20)
    payload = pl.col(f"{side}_bytes").fill_null(0) - (pl.col("missed_bytes") if side == "resp" else 0)
    broken = day.filter(pl.col(f"{side}_ip_bytes") < payload + pl.col(f"{side}_pkts") * header)
    assert broken.is_empty(), broken.head(3)
    assert day.filter((pl.col(f"{side}_pkts") == 0) & (pl.col(f"{side}_ip_bytes") > 0)).is_empty()


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        ("S0", (pl.col("resp_pkts") == 0) & (pl.col("resp_bytes").fill_null(0) == 0)),
        ("REJ", (pl.col("history") == "Sr") & (pl.col("orig_bytes") == 0) & pl.col("service").is_null()),
        ("RSTO", pl.col("history").str.contains("R", literal=True)),
        ("RSTR", pl.col("history").str.contains("r", literal=True)),
        ("RSTOS0", (pl.col("history") == "SR") & (pl.col("resp_pkts") == 0)),
        ("S1", ~pl.col("history").str.contains("[FfRr]")),
        ("S2", pl.col("history").str.contains("F") & ~pl.col("history").str.contains("f")),
        ("S3", pl.col("history").str.contains("f") & ~pl.col("history").str.contains("F")),
        ("SH", pl.col("resp_pkts") == 0),
        ("SF", (pl.col("proto") == "udp") | pl.col("history").str.contains("F.*f|f.*F")),
    ],
)
def test_state_and_history_agree(day: pl.DataFrame, state: str, holds: pl.Expr) -> None:
    rows = day.filter(pl.col("conn_state") == state)
    assert rows.height > 0
    assert rows.filter(~holds).is_empty(), rows.filter(~holds).head(3)


def test_history_letters_agree_with_payload_and_loss(day: pl.DataFrame) -> None:
    known = day.filter(pl.col("duration_s").is_not_null() & (pl.col("proto") != "icmp"))
    for letter, column in (("D", "orig_bytes"), ("d", "resp_bytes")):
        seen = known["history"].str.contains(letter, literal=True)
        assert (seen == (known[column] > 0)).all(), letter
    assert (known["history"].str.contains("g") == (known["missed_bytes"] > 0)).all()
    assert day.filter(pl.col("proto") == "icmp")["history"].is_null().all()
    assert day.filter(pl.col("service").is_not_null() & (pl.col("orig_bytes") == 0)).is_empty()


def test_who_is_local_follows_from_the_address(day: pl.DataFrame) -> None:
    for side in ("orig", "resp"):
        inside = day[f"{side}_h"].str.contains(r"^(10\.|203\.0\.113\.|2001:db8:20:|fe80:)")
        multicast = day[f"{side}_h"].is_in(["10.20.255.255"])
        assert (day[f"local_{side}"] == (inside & ~multicast)).all()


def test_addresses_belong_to_nobody(day: pl.DataFrame) -> None:
    reserved = r"^(10\.|203\.0\.113\.|198\.1[89]\.|2001:db8:|fe80:|ff02:|224\.0\.0\.|239\.255\.|255\.255\.255\.255$)"
    hosts = pl.concat([day["orig_h"], day["resp_h"]]).unique()
    assert hosts.filter(~hosts.str.contains(reserved)).to_list() == []


def test_the_working_day_shows(day: pl.DataFrame) -> None:
    by_hour = dict(day.group_by(pl.col("ts").dt.hour()).len().iter_rows())
    assert len(by_hour) == 24
    assert by_hour[10] > 3 * by_hour[3]


def test_the_weekend_is_quieter() -> None:
    week = whole(Plan(connections=20_000, hours=24 * 7))
    by_day = dict(week.group_by(pl.col("ts").dt.weekday()).len().iter_rows())
    assert by_day[2] > 1.5 * by_day[7]


def test_sizes_have_heavy_tails(day: pl.DataFrame) -> None:
    sent = day["resp_bytes"].drop_nulls().to_numpy()
    assert sent.max() > 1000 * np.quantile(sent, 0.9)
    assert sent.mean() > 10 * np.median(sent)


def test_two_kinds_of_attack_happen_only_at_the_end_and_the_others_all_day(day: pl.DataFrame) -> None:
    start, third = day["ts"].min(), timedelta(hours=8)
    first = dict(day.drop_nulls("attack").group_by("attack").agg(pl.col("ts").min()).iter_rows())
    thirds = dict(day.drop_nulls("attack").group_by("attack").agg((pl.col("ts").dt.hour() // 8).n_unique()).iter_rows())
    assert isinstance(start, datetime)
    for attack in ATTACKS:
        if attack.late:
            assert first[attack.kind] >= start.replace(hour=16, minute=0, second=0, microsecond=0)
        else:
            assert first[attack.kind] < start + 2 * third
            assert thirds[attack.kind] >= 2, attack.kind
    hosts = dict(day.drop_nulls("attack").group_by("attack").agg(pl.col("orig_h").n_unique()).iter_rows())
    assert min(hosts.values()) >= 2


def test_no_category_belongs_to_attacks_alone(day: pl.DataFrame) -> None:
    attack, benign = day.filter(pl.col("attack").is_not_null()), day.filter(pl.col("attack").is_null())
    for column in ("proto", "service", "conn_state", "local_orig", "local_resp"):
        assert set(attack[column]) <= set(benign[column]), column
    unusual = attack.filter(
        ~pl.col("history").is_in(benign["history"].unique().to_list()) & pl.col("history").is_not_null()
    )
    assert unusual.height <= 0.005 * attack.height  # combinations of losses are rare by themselves
    for column in ("duration_s", "orig_bytes", "resp_bytes", "orig_pkts", "orig_ip_bytes", "resp_ip_bytes"):
        low, high = benign[column].min(), benign[column].max()
        assert attack.filter((pl.col(column) < low) | (pl.col(column) > high)).is_empty(), column


def test_no_single_column_gives_the_attacks_away(day: pl.DataFrame) -> None:
    is_attack = day["attack"].is_not_null().to_numpy()
    for column in (
        "orig_p",
        "resp_p",
        "duration_s",
        "orig_bytes",
        "resp_bytes",
        "orig_pkts",
        "resp_pkts",
        "orig_ip_bytes",
    ):
        for missing in (-1, 10**12):
            rank = day[column].cast(pl.Float64).fill_null(missing).rank().to_numpy()
            below = (rank[is_attack].sum() / is_attack.sum() - (is_attack.sum() + 1) / 2) / (~is_attack).sum()
            assert max(below, 1 - below) < 0.9, column
    for column in ("conn_state", "service", "history", "proto"):
        share = day.group_by(column).agg(pl.col("attack").count() / pl.len(), pl.len().alias("rows"))
        assert (share.filter(pl.col("rows") > 100)["attack"] < 0.5).all(), column


def test_a_detector_finds_much_and_not_everything(day: pl.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score
    from xgboost import XGBClassifier

    features = add_derived(add_behaviour(day, day.head(0), (60, 600)))
    names = [name for name in features.columns if is_feature(name) and name != "attack"]
    codes = [
        pl.col(n).cast(pl.Categorical).to_physical() if features[n].dtype == pl.String else pl.col(n) for n in names
    ]
    known = features.select(code.cast(pl.Float32) for code in codes).to_numpy()
    is_attack, cut = day["attack"].is_not_null().to_numpy(), int(day.height * 0.7)
    model = XGBClassifier(n_estimators=60, max_depth=5, learning_rate=0.2, n_jobs=1, random_state=1)
    model.fit(known[:cut], is_attack[:cut])
    area = roc_auc_score(is_attack[cut:], model.predict_proba(known[cut:])[:, 1])
    assert 0.90 < area < 0.99


@pytest.mark.shared_data
def test_the_shares_are_near_those_of_real_logs(shared_data: Callable[[str], Path], day: pl.DataFrame) -> None:
    """Rough bands around zeek-rita's proxy_rolling hour: protocols, endings, sizes of look-ups and pages."""
    path = next((shared_data("zeek-rita") / "proxy_rolling").glob("conn.16*.gz"))
    with gzip.open(path) as opened:
        real = pl.concat(batch.rows for batch in ZeekConn().read(opened, source=path.name))  # type: ignore[arg-type]
    benign = day.filter(pl.col("attack").is_null())

    def both(measure: pl.Expr) -> tuple[float, float]:
        ours, theirs = (float(frame.select(measure.cast(pl.Float64)).item()) for frame in (benign, real))
        return ours, theirs

    for value, column in (("tcp", "proto"), ("udp", "proto"), ("SF", "conn_state")):
        ours, theirs = both((pl.col(column) == value).mean())
        assert abs(ours - theirs) < 0.25, value
    for service, column, factor in (("dns", "orig_bytes", 1.5), ("dns", "resp_bytes", 1.5), ("ssl", "orig_bytes", 2.0)):
        ours, theirs = both(pl.col(column).filter(pl.col("service") == service).median())
        assert 1 / factor < ours / theirs < factor, (service, column)


@pytest.mark.parametrize(
    "arguments",
    [
        {"connections": 0},
        {"connections": -5},
        {"connections": 10**10},
        {"connections": 1000.0},
        {"connections": True},
        {"connections": float("nan")},
        {"hours": 0},
        {"hours": float("nan")},
        {"hours": float("inf")},
        {"hours": 10_000},
        {"hours": "24"},
        {"seed": -1},
        {"seed": 2**64},
        {"attack_fraction": -0.1},
        {"attack_fraction": 0.51},
        {"attack_fraction": float("nan")},
        {"start": datetime(2026, 3, 2)},  # noqa: DTZ001 - the point
        {"start": datetime(9999, 12, 31, tzinfo=UTC)},
        {"start": datetime(1, 1, 1, tzinfo=UTC)},
    ],
)
def test_hostile_arguments_are_a_config_error(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))) as raised:
        Plan(**arguments)  # type: ignore[arg-type]
    assert raised.value.hint


def test_no_attacks_on_request() -> None:
    assert whole(Plan(connections=500, attack_fraction=0))["attack"].null_count() == 500
    assert attacks_by_kind(Plan(connections=500, attack_fraction=0)) == {}
