"""Recognising and reading dns, http and ssl logs."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.ingestion.ingest import find_sources, ingest
from cybersec_mlops.ingestion.inspect import inspect_sources
from cybersec_mlops.ingestion.json_lines import is_array
from cybersec_mlops.ingestion.reader import Head
from cybersec_mlops.ingestion.zeek_joined import JoinedBatch, read_joined, recognise_joined
from cybersec_mlops.storage.objects import ObjectStore

SAMPLES = Path(__file__).parent / "samples"
FIELDS = ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "query", "qtype_name", "rcode", "answers")
ROW = {
    "ts": 1.5,
    "uid": "C1",
    "id.orig_h": "10.0.0.1",
    "id.orig_p": 5,
    "id.resp_h": "10.0.0.2",
    "id.resp_p": 53,
    "query": "a.example",
    "qtype_name": "A",
    "rcode": 0,
    "answers": ["10.0.0.9", "10.0.0.8"],
}


def as_json(*rows: dict[str, object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_tsv(*rows: dict[str, object], path: str = "dns") -> bytes:
    head = ["#separator \\x09", f"#path\t{path}", "#unset_field\t-", "#empty_field\t(empty)"]
    lines = ["\t".join(_cell(row.get(name)) for name in FIELDS) for row in rows]
    return "\n".join([*head, "\t".join(("#fields", *FIELDS)), *lines, "#close\t2026", ""]).encode()


def _cell(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else "-" if value is None else str(value)


def read(data: bytes, main: str | None = "dns", batch_bytes: int = 1 << 20) -> list[JoinedBatch]:
    return list(read_joined(io.BytesIO(data), main=main, source="dns.log", batch_bytes=batch_bytes))


def partial(batches: list[JoinedBatch]) -> pl.DataFrame:
    return pl.concat(batch.partial["dns"] for batch in batches if "dns" in batch.partial)


def as_array(*rows: dict[str, object]) -> bytes:
    return json.dumps(rows, indent=1).encode()


@pytest.mark.parametrize(("form", "variant"), [(as_tsv, "tsv"), (as_json, "json"), (as_array, "array")])
def test_a_log_is_recognised_in_both_forms(form, variant: str) -> None:  # type: ignore[no-untyped-def]
    answer = recognise_joined(Head(form(ROW), complete=True))
    assert answer is not None
    assert (answer.format, answer.variant) == ("zeek_dns", variant)


@pytest.mark.parametrize(
    "name", ["zeek_conn.log", "zeek_conn.json", "zeek_mixed.json", "argus_tabs.csv", "mapped.json"]
)
def test_nothing_else_is(name: str) -> None:
    assert recognise_joined(Head((SAMPLES / name).read_bytes(), complete=True)) is None


def test_a_log_without_uids_cannot_be_joined() -> None:
    assert recognise_joined(Head(as_tsv(ROW).replace(b"\tuid\t", b"\tnone\t"), complete=True)) is None


def test_tsv_and_json_are_the_same() -> None:
    other = {**ROW, "uid": "C2", "query": None, "answers": None, "rcode": 3}
    (tsv,), (lines,) = read(as_tsv(ROW, other)), read(as_json(ROW, {k: v for k, v in other.items() if v is not None}))
    assert tsv.partial["dns"].sort("uid").equals(lines.partial["dns"].sort("uid"))
    assert tsv.used == lines.used == {"dns": 2}
    underscores = as_json({name.replace("id.", "id_"): value for name, value in ROW.items()})
    assert read(underscores)[0].partial["dns"].equals(read(as_json(ROW))[0].partial["dns"])


def test_a_row_that_cannot_be_read_is_set_aside_with_its_line() -> None:
    bad = [{**ROW, "uid": None}, {**ROW, "id.orig_p": "http"}, {**ROW, "rcode": "NO"}, {**ROW, "id.resp_p": 70000.5}]
    for data, first in ((as_tsv(ROW, *bad), 6), (as_json(ROW, *bad), 1)):
        (batch,) = read(data)
        assert batch.used == {"dns": 1}
        assert batch.rejected.select("raw_line", "reason").rows() == [
            (first + 1, "not_joinable"),
            (first + 2, "bad_port"),
            (first + 3, "bad_number"),
            (first + 4, "bad_port"),
        ]


def test_lines_that_are_none_are_accounted_for() -> None:
    data = as_json(ROW) + b"garbage\n\n{broken}\n" + as_json({"_path": "files", "ts": 1}, ROW)
    (batch,) = read(data)
    assert batch.used == {"dns": 2}
    assert batch.rejected["reason"].to_list() == ["not_json", "not_json"]
    assert batch.skipped == {"blank_line": 1, "other_stream:files": 1}


def test_in_a_conn_log_only_rows_of_the_other_logs_are_looked_at() -> None:
    data = (
        as_json({"_path": "conn", "uid": "C1"}, {"_path": "dns", **ROW}, {"_path": "dns", **ROW, "uid": None}) + b"x\n"
    )
    (batch,) = read(data, main=None)
    assert (batch.used, batch.given, batch.skipped) == ({"dns": 1}, {"dns": 2}, {})
    assert batch.rejected["reason"].to_list() == ["not_joinable"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([as_json(ROW, ROW), b""]), st.integers(0, 300))
def test_arbitrary_bytes_never_crash_and_every_line_is_accounted_for(noise: bytes, base: bytes, place: int) -> None:
    data = base[:place] + noise + base[place:]
    if b"#" in data or is_array(data):
        return  # a header says what rows are: that cannot be judged from outside; an array may end in an error
    total: Counter[str] = Counter()
    for batch in read(data, batch_bytes=64):
        total.update(batch.used)
        total["rejected"] += batch.rejected.height
        total.update(batch.skipped)
    assert sum(total.values()) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def folder(tmp_path: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (tmp_path / f"{name}.log").write_bytes(data)
    return tmp_path


def test_logs_are_joined_only_where_there_are_connections(tmp_path: Path) -> None:
    there = folder(tmp_path, dns=as_tsv(ROW), conn=(SAMPLES / "zeek_conn.log").read_bytes())
    found = find_sources([str(there)])
    assert [(Path(one.name).name, one.joined) for one in found.sources] == [("conn.log", False), ("dns.log", True)]
    named = find_sources([str(there / "dns.log"), str(there / "conn.log")])
    assert {Path(one.name).name: one.joined for one in named.sources} == {"conn.log": False, "dns.log": True}
    (there / "conn.log").unlink()
    (there / "conn.json").write_bytes((SAMPLES / "argus_tabs.csv").read_bytes())
    alone = find_sources([str(there)])
    assert [Path(one.name).name for one in alone.skipped] == ["dns.log"]
    assert "dns.log" in alone.skipped[0].reason


def test_a_joined_log_is_an_original_like_any_other(tmp_path: Path) -> None:
    there = folder(tmp_path, dns=as_tsv(ROW), conn=(SAMPLES / "zeek_conn.log").read_bytes())
    raw = ObjectStore.from_url("memory://joined-original")
    _, originals, _ = ingest([str(there)], raw)
    assert sorted(one.format for one in originals) == ["zeek_conn", "zeek_dns"]
    assert all(raw.holds(one.reference) for one in originals)


def test_inspect_says_what_is_joined(tmp_path: Path) -> None:
    there = folder(tmp_path, dns=as_tsv(ROW, {**ROW, "uid": None}), conn=(SAMPLES / "zeek_conn.log").read_bytes())
    conn, dns = inspect_sources([str(there)])
    assert (conn.format, dns.format, dns.status) == ("zeek_conn", "zeek_dns", "usable")
    assert (dns.read, dns.kept, dns.skipped, dns.rejected) == (2, 0, {"joined:dns": 1}, {"not_joinable": 1})
    (alone,) = inspect_sources([str(there / "dns.log")])
    assert alone.status == "refused"
