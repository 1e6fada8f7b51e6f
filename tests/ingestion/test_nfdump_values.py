"""The values of what nfdump prints."""

from __future__ import annotations

import polars as pl
import pytest

from cybersec_mlops.ingestion.nfdump_values import finish, prepare, rules

ROW = {
    "ts": "2013-07-09 01:00:23.040",
    "duration_s": "8.304",
    "proto": "TCP",
    "orig": "10.1.0.1:42001",
    "resp": "192.0.2.8:445",
    "orig_pkts": "9",
}


def made(zone: str = "UTC", **values: str | None) -> dict[str, object]:
    frame = prepare(pl.DataFrame([{**ROW, **values}], schema=dict.fromkeys([*ROW, *values], pl.String())), zone)
    assert frame.select(pl.any_horizontal(rule.broken.fill_null(value=False) for rule in rules(frame))).item() is False
    return finish(frame, zero_is_unset=True).row(0, named=True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("8.304", 8.304), ("00:00:08.304", 8.304), ("1d 02:00:00.000", 93_600.0), ("0", 0.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert made(duration_s=text)["duration_s"] == seconds


@pytest.mark.parametrize(("text", "count"), [("9", 9), ("1.2 M", 1_200_000), ("2.0G", 2_000_000_000), (" 3 K ", 3_000)])
def test_counts(text: str, count: int) -> None:
    assert made(orig_pkts=text)["orig_pkts"] == count


@pytest.mark.parametrize("count", ["1.2 X", "-1", "M", "1e3"])
def test_a_count_that_is_none_breaks_a_rule(count: str) -> None:
    frame = prepare(pl.DataFrame([{**ROW, "orig_pkts": count}]), "UTC")
    broken = [rule.field for rule in rules(frame) if frame.select(rule.broken.fill_null(value=False)).item()]
    assert broken == ["orig_pkts"]


@pytest.mark.parametrize(
    ("end", "host", "port"),
    [("10.1.0.1:42001", "10.1.0.1", 42001), ("2001:7..0:1.53", "2001:7..0:1", 53), ("10.1.0.1(aa):7", "10.1.0.1", 7)],
)
def test_ends(end: str, host: str, port: int) -> None:
    row = made(orig=end)
    assert (row["orig_h"], row["orig_p"]) == (host, port)


def test_two_zeros_are_no_other_direction() -> None:
    assert made(resp_pkts="0", resp_ip_bytes="0")["resp_pkts"] is None
    assert made(resp_pkts="0", resp_ip_bytes="5")["resp_pkts"] == 0


def test_times_are_read_in_the_zone() -> None:
    assert str(made("Europe/Prague")["ts"]) == "2013-07-08 23:00:23.040000+00:00"


@pytest.mark.parametrize(
    ("flags", "letters"),
    [(".AP.SF", "...AP.SF"), ("0xc2", "CE....S."), ("  0x53", ".E.A..SF"), ("CE....S.", "CE....S.")],
)
def test_flags_have_eight_places_also_where_nfdump_writes_a_number(flags: str, letters: str) -> None:
    assert made(nfdump_flags=flags)["nfdump_flags"] == letters
    assert made(nfdump_flags=flags, proto="UDP")["nfdump_flags"] is None
