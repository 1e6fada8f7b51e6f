"""What the sensor sees: packets and bytes that follow from the intent."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.simulate.network import build_network
from cybersec_mlops.simulate.shapes import MIXES, SHAPE_INDEX, SHAPES
from cybersec_mlops.simulate.wire import HISTORY_VALUES, MIX_INDEX, SERVICE_VALUES, STATE_VALUES, Intent, observe

NETWORK = build_network(np.random.default_rng(1), 40)


def seen(shape: str, rows: int = 2_000, *, mix: str | None = None, **scales: float) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    intent = Intent(
        np.linspace(0, 100, rows),
        np.full(rows, NETWORK.role("workstation")[3]),
        np.full(rows, NETWORK.role("site")[7]),
        np.full(rows, SHAPE_INDEX[shape]),
        mix=None if mix is None else np.full(rows, MIX_INDEX[mix]),
        **{name: np.full(rows, value) for name, value in scales.items()},
    )
    return observe(rng, NETWORK, intent)


def states(rows: pl.DataFrame) -> set[str]:
    return {STATE_VALUES[code] for code in rows["state"].unique()}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_can_be_seen_and_each_side_that_sent_bytes_sent_packets(shape: str) -> None:
    rows = seen(shape, 500)
    assert rows.null_count().sum_horizontal().item() == 0
    for side in ("orig", "resp"):
        assert rows.filter((pl.col(f"{side}_bytes") > 0) & (pl.col(f"{side}_pkts") == 0)).is_empty()
        assert rows.filter(pl.col(f"{side}_pkts") > 0).filter(pl.col(f"{side}_ip_bytes") < 28).is_empty()
    assert (rows["duration_us"] >= 1).all()
    assert rows["resp_p"].is_in(list(SHAPES[shape].ports)).all()


def test_sizes_have_the_medians_of_the_table() -> None:
    rows = seen("tls_page")
    finished = rows.filter(pl.col("state") == STATE_VALUES.index("SF")).filter(pl.col("orig_bytes") > 0)
    assert float(np.median(finished["orig_bytes"])) == pytest.approx(1550, rel=0.1)
    assert float(np.median(finished["resp_bytes"])) == pytest.approx(9500, rel=0.2)


def test_scales_and_mixes_change_the_circumstances() -> None:
    usual, larger = seen("tls_page"), seen("tls_page", orig_scale=10.0)
    assert larger["orig_bytes"].sum() > 5 * usual["orig_bytes"].sum()
    assert states(seen("tls_page", mix="dead")) <= {"S0", "RSTOS0", "S1", "REJ"}
    assert seen("tls_page", mix="dead")["orig_bytes"].sum() == 0
    longer = seen("visit_slow", hold_scale=20.0)
    assert float(np.median(longer["duration_us"])) > 3 * float(np.median(seen("visit_slow")["duration_us"]))


def test_more_bytes_need_more_packets() -> None:
    rows = seen("tls_download").filter(pl.col("resp_bytes") > 100_000)
    per_packet = (rows["resp_bytes"] / rows["resp_pkts"]).to_numpy()
    assert per_packet.max() <= 1460
    assert np.median(per_packet) > 1000
    acknowledged = (rows["orig_pkts"] / rows["resp_pkts"]).to_numpy()
    assert 0.4 < np.median(acknowledged) < 1.1


def test_unanswered_attempts_back_off() -> None:
    rows = seen("probe_absent").filter(pl.col("state") == STATE_VALUES.index("S0"))
    by_tries = {tries: group["duration_us"].median() for (tries,), group in rows.group_by("orig_pkts")}
    medians = [by_tries[tries] for tries in sorted(by_tries)]
    assert medians == sorted(medians)  # type: ignore[type-var]
    assert rows["resp_pkts"].sum() == 0


def test_a_service_is_named_only_where_something_was_said() -> None:
    rows = seen("tls_page")
    unnamed = SERVICE_VALUES.index("")
    assert rows.filter((pl.col("orig_bytes") == 0) & (pl.col("service") != unnamed)).is_empty()
    assert SERVICE_VALUES.index("ssl") in rows["service"]


def test_codes_stay_within_their_tables() -> None:
    for mix in MIXES:
        rows = seen("tls_page", 300, mix=mix)
        assert rows["history"].max() < len(HISTORY_VALUES)  # type: ignore[operator]
        assert rows["state"].max() < len(STATE_VALUES)  # type: ignore[operator]
