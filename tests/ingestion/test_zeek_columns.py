"""The columns of conn.log and what a connection must keep to."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion import zeek_columns
from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.ingestion.screening import screen

SOUND = {
    "ts": 1.5,
    "orig_h": "192.0.2.1",
    "orig_p": 1,
    "resp_h": "2001:db8::1",
    "resp_p": 65535,
    "proto": "tcp",
    "duration_s": 0.0,
    "orig_bytes": 0,
    "local_orig": "T",
}


def reasons(**changes: object) -> list[str]:
    columns = {column.name: column.dtype for column in zeek_columns.COLUMNS.values()}
    frame = pl.DataFrame([{**SOUND, **changes}], schema={name: columns[name] for name in SOUND})
    rejected = Rejected()
    rules = zeek_columns.rules(frame.schema)
    screen(frame, Lines(b"line\n", 1), rules, rejected, failed={}, value=lambda line, field: "value")
    return rejected.frame()["reason"].to_list()


def test_every_canonical_column_is_read() -> None:
    assert {column.name for column in zeek_columns.COLUMNS.values()} >= CONNECTION_SCHEMA.keys()


@pytest.mark.parametrize("aliases", zeek_columns.ALIASES.items())
def test_other_spellings_mean_the_same_column(aliases: tuple[str, str]) -> None:
    alias, name = aliases
    assert zeek_columns.column_of(alias) == zeek_columns.column_of(name) is not None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ts": None}, "missing_value"),
        ({"ts": -1.0}, "bad_time"),
        ({"ts": 4.2e9}, "bad_time"),
        ({"ts": float("nan")}, "bad_time"),
        ({"ts": float("inf")}, "bad_time"),
        ({"orig_h": None}, "missing_value"),
        ({"orig_h": "<script>"}, "bad_address"),
        ({"resp_h": "=cmd()"}, "bad_address"),
        ({"resp_h": "1" * 46}, "bad_address"),
        ({"proto": None}, "missing_value"),
        ({"orig_p": 65536}, "bad_port"),
        ({"resp_p": -1}, "bad_port"),
        ({"duration_s": -0.1}, "bad_duration"),
        ({"duration_s": float("inf")}, "bad_duration"),
        ({"orig_bytes": -5}, "bad_count"),
        ({"local_orig": "yes"}, "bad_boolean"),
    ],
)
def test_what_cannot_be_is_rejected_with_its_reason(changes: dict[str, object], reason: str) -> None:
    assert reasons(**changes) == [reason]


@pytest.mark.parametrize("name", ["orig_p", "resp_p", "duration_s", "orig_bytes", "local_orig"])
def test_what_may_be_unset_is_not_missed(name: str) -> None:
    assert reasons(**{name: None}) == []


def test_times_keep_their_microseconds() -> None:
    frame = zeek_columns.to_connections(pl.DataFrame({"ts": [1718000000.123456, 4102444799.999999, 0.0, 11.537757]}))
    assert frame["ts"].to_list() == [
        datetime(2024, 6, 10, 6, 13, 20, 123456, UTC),
        datetime(2099, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 11, 537757, UTC),
    ]


def test_words_are_in_lower_case_and_truths_are_booleans() -> None:
    frame = zeek_columns.to_connections(
        pl.DataFrame(
            {"ts": [1.0], "proto": ["TCP"], "service": ["HTTP,ssl"], "local_orig": ["T"], "local_resp": [False]}
        )
    )
    assert frame.select("proto", "service", "local_orig", "local_resp").rows() == [("tcp", "http,ssl", True, False)]


@pytest.mark.parametrize(
    "names", [["ts"], ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "query"]]
)
def test_another_log_is_no_connection(names: list[str]) -> None:
    assert not zeek_columns.is_connection(names)
    assert "conn_state" in zeek_columns.missing_columns(names)


def test_a_label_is_kept_as_it_was_with_its_detail() -> None:
    frame = zeek_columns.to_connections(
        pl.DataFrame(
            {
                "ts": [1.0] * 4,
                "label_word": ["Malicious", "Benign", None, None],
                "label_detail": ["CC", None, "x", None],
            }
        )
    )
    assert frame["label_original"].to_list() == ["Malicious/CC", "Benign", None, None]
    assert frame["label"].to_list() == ["CC", "BENIGN", None, None]


def test_labels_may_be_bits_or_say_that_nothing_is_known() -> None:
    frame = zeek_columns.to_connections(
        pl.DataFrame({"ts": [1.0] * 4, "label_word": ["0", "1", "Unknown", "LEGITIMATE"]})
    )
    assert frame["is_attack"].to_list() == [False, True, None, False]
    assert frame["label_original"].to_list() == ["0", "1", "Unknown", "LEGITIMATE"]
