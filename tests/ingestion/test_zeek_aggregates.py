"""What dns, http and ssl logs say of a connection, however their rows were cut."""

from __future__ import annotations

import math
from random import Random

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cybersec_mlops.connections import is_feature
from cybersec_mlops.ingestion.zeek_aggregates import KEYS, KINDS, MIXED, OTHER, combine, partial_of

ENDS = {"uid": "C1", "orig_h": "10.0.0.1", "orig_p": 5, "resp_h": "10.0.0.2", "resp_p": 53}
TYPES = {
    "orig_p": pl.Int32(),
    "resp_p": pl.Int32(),
    "established": pl.Boolean(),
    "resumed": pl.Boolean(),
    **dict.fromkeys(("rcode", "request_body_len", "response_body_len", "status_code"), pl.Float64()),
}


def rows(kind: str, *values: dict[str, object]) -> pl.DataFrame:
    names = (*KEYS, *KINDS[kind].fields)
    schema = {name: TYPES.get(name, pl.String()) for name in names}
    return pl.DataFrame([{name: {**ENDS, **one}.get(name) for name in names} for one in values], schema=schema)


def told(kind: str, *values: dict[str, object]) -> dict[str, object]:
    (row,) = combine(kind, partial_of(kind, rows(kind, *values))).to_dicts()
    return {name.removeprefix(f"zeek_{kind}_"): value for name, value in row.items() if name not in KEYS}


def test_features_are_numbers_and_small_categories() -> None:
    for kind, one in KINDS.items():
        for name, dtype in one.features.items():
            assert name.startswith(f"zeek_{kind}_")
            assert dtype in (pl.Float64, pl.String, pl.Boolean)
            assert is_feature(name)


def test_queries() -> None:
    found = told(
        "dns",
        {"query": "aabb", "qtype_name": "A", "rcode": 0, "answers": "10.0.0.1,10.0.0.2"},
        {"query": "aabb", "qtype_name": "A", "rcode": 3},
        {"query": "abcdefgh", "qtype_name": "TXT"},
    )
    assert found == {
        "queries": 3,
        "names": 2,
        "unanswered_share": 1 - 2 / 3,
        "nxdomain_share": 0.5,
        "failed_share": 0.5,
        "answers": 2,
        "query_bytes_max": 8,
        "query_bytes_mean": 16 / 3,
        "query_entropy_max": 3.0,
        "qtype": MIXED,
    }


def test_what_no_row_says_is_null_and_never_0() -> None:
    assert {name for name, value in told("dns", {}).items() if value is not None} == {"queries", "unanswered_share"}
    assert {name for name, value in told("http", {}).items() if value is not None} == {"requests", "unanswered_share"}
    found = told("ssl", {})
    assert {name for name, value in found.items() if value is not None} == {"handshakes", "has_server_name"}
    assert found["has_server_name"] is False


def test_requests() -> None:
    found = told(
        "http",
        {"method": "GET", "host": "a", "uri": "/x", "user_agent": "ua", "status_code": 200, "response_body_len": 10},
        {"method": "GET", "host": "a", "uri": "/yy", "user_agent": "ua", "status_code": 404, "response_body_len": 5},
    )
    assert (found["requests"], found["hosts"], found["uris"], found["user_agents"]) == (2, 1, 2, 1)
    assert (found["error_share"], found["response_bytes"], found["request_bytes"]) == (0.5, 15, None)
    assert (found["uri_bytes_max"], found["method"], found["status"]) == (3, "GET", MIXED)
    assert told("http", {"method": "BREW", "status_code": 999})["method"] == OTHER


def test_handshakes() -> None:
    suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    found = told(
        "ssl",
        {"version": "TLSv12", "cipher": suite, "server_name": "a.example", "established": True, "resumed": False}
        | {"validation_status": "self signed certificate", "cert_chain_fuids": "F1,F2"},
    )
    assert found == {
        "handshakes": 1,
        "certificates": 2,
        "server_name_bytes": 9,
        "version": "TLSv12",
        "cipher": "ECDHE",
        "next_protocol": None,
        "validation": "self-signed",
        "established": True,
        "resumed": False,
        "has_server_name": True,
    }
    assert told("ssl", {"cipher": "TLS_AES_128_GCM_SHA256"})["cipher"] == "TLS13"
    assert told("ssl", {"cipher": "TLS_RSA_WITH_NULL_MD5"})["cipher"] == "RSA"
    assert told("ssl", {"cipher": "unknown-64"})["cipher"] == OTHER


TEXTS = st.one_of(st.none(), st.text("abcé\u4e2d\U0001f600", max_size=8))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["C1", "C2"]), TEXTS, st.sampled_from([None, 0.0, 3.0])), min_size=1, max_size=12
    ),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
@example([("C1", "ab\U0001f600", None), ("C2", "ab\U0001f600", None)], Random(0), 2)
def test_neither_order_nor_parts_change_anything(drawn, random, parts) -> None:  # type: ignore[no-untyped-def]
    values = [{"uid": uid, "query": query, "rcode": rcode, "qtype_name": query} for uid, query, rcode in drawn]
    whole = combine("dns", partial_of("dns", rows("dns", *values)))
    random.shuffle(values)
    cut = [values[start::parts] for start in range(parts) if values[start::parts]]
    again = combine("dns", pl.concat(partial_of("dns", rows("dns", *some)) for some in cut))
    assert_frame_equal(again, whole, check_row_order=False, check_exact=True)


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_the_length_of_a_text_is_that_of_its_bytes(text: str) -> None:
    plain = text.replace("\\x", "")
    if plain:
        assert told("dns", {"query": plain})["query_bytes_max"] == len(plain.encode(errors="replace"))


def test_bytes_that_are_no_text_count_once_each_as_zeek_escapes_them() -> None:
    escaped = told("dns", {"query": "a" + "".join(f"\\x{byte:02x}" for byte in "é".encode())})
    assert escaped == told("dns", {"query": "aé"}) | {}
    assert escaped["query_bytes_max"] == 3


@settings(max_examples=50, deadline=None)
@given(st.text("abc", min_size=1, max_size=40))
def test_entropy_is_shannons(text: str) -> None:
    shares = [text.count(letter) / len(text) for letter in set(text)]
    expected = -sum(share * math.log2(share) for share in shares)
    found = told("dns", {"query": text})["query_entropy_max"]
    assert isinstance(found, float)
    assert abs(found - expected) < 1e-6
