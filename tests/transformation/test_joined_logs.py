"""Laws of Zeek's joined logs: the rows of SILVER do not depend on how the logs were written and cut."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.ingestion.test_zeek_joined import as_json, as_tsv
from tests.transformation.conftest import Transform
from tests.zeek_sample import line, write_log

from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.silver import SilverManifest, read_silver
from cybersec_mlops.transformation.spec import TransformationSpec

Stores = tuple[ObjectStore, ObjectStore]
ROWS = 300
ENDS = ("uid", "id.orig_h", "id.resp_h")
PORTS = ("id.orig_p", "id.resp_p")


@pytest.fixture
def conn(tmp_path: Path) -> Path:
    return write_log(tmp_path / "conn.log", [line(number) for number in range(ROWS)])


def queries(conn: Path) -> list[dict[str, object]]:
    """Return a dns log of those connections: none, one or two queries each."""
    fields: list[str] = []
    found: list[dict[str, object]] = []
    for number, text in enumerate(conn.read_text().splitlines()):
        if text.startswith("#fields"):
            fields = text.split("\t")[1:]
        elif not text.startswith("#"):
            row = dict(zip(fields, text.split("\t"), strict=True))
            ends: dict[str, object] = {name: row[name] for name in ENDS}
            ends |= {name: int(row[name]) for name in PORTS}
            for query in range(number % 3):
                found.append(
                    {"ts": 1, **ends, "query": f"q{number}-{query}.example", "qtype_name": "A", "rcode": 3 * query}
                )
    return found


def silver(made: tuple[object, SilverManifest], stores: Stores, tmp_path: Path) -> pl.DataFrame:
    rows = read_silver(made[1], stores[1], tmp_path / "read")
    return rows.drop("raw_sha256", "raw_line").sort("ts", "uid")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_connections_get_what_the_log_says_and_null_where_it_says_nothing(
    conn: Path, run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    told = queries(conn)
    made = run_transform(conn, write(tmp_path / "dns.log", as_tsv(*told)))
    rows = silver(made, stores, tmp_path)
    assert rows.height == ROWS
    counts = rows["zeek_dns_queries"].to_list()
    assert sum(count for count in counts if count is not None) == len(told)
    assert set(counts) == {None, 1.0, 2.0}
    assert made[1].skipped["joined:dns"] == len(told)
    assert made[1].read == made[1].kept + sum(made[1].quarantined.values()) + sum(made[1].skipped.values())
    plain = silver(run_transform(conn), stores, tmp_path)
    assert not [name for name in plain.columns if name.startswith("zeek_")]
    assert rows.select(plain.columns).equals(plain)


@pytest.mark.parametrize(
    "cut",
    [
        lambda told: {"dns.log": as_json(*told)},
        lambda told: {"dns.log.gz": gzip.compress(as_tsv(*told))},
        lambda told: {"b.log": as_tsv(*told[:70]), "a.log": as_json(*told[70:])},
        lambda told: {"z.log": as_tsv(*reversed(told))},
    ],
    ids=["json", "gzip", "rotated", "reversed"],
)
def test_the_rows_do_not_depend_on_how_the_log_is_written(
    cut: Callable[[list[dict[str, object]]], dict[str, bytes]],
    conn: Path,
    run_transform: Transform,
    stores: Stores,
    tmp_path: Path,
) -> None:
    told = queries(conn)
    whole = silver(run_transform(conn, write(tmp_path / "dns.log", as_tsv(*told))), stores, tmp_path)
    files = [write(tmp_path / f"again-{name}", data) for name, data in cut(told).items()]
    again = run_transform(*files, conn, spec=TransformationSpec(slice_rows=1000))
    assert silver(again, stores, tmp_path).equals(whole)


def test_several_logs_in_one_stream_are_joined_as_well(
    conn: Path, run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    told = queries(conn)
    whole = silver(run_transform(conn, write(tmp_path / "dns.log", as_tsv(*told))), stores, tmp_path)
    mixed = conn.read_bytes().replace(b"#close", b"#was") + as_tsv(*told, {**told[0], "uid": None})
    made = run_transform(write(tmp_path / "mixed.log", mixed))
    assert silver(made, stores, tmp_path).equals(whole)
    assert made[1].skipped == {"joined:dns": len(told)}
    assert made[1].quarantined == {"not_joinable": 1}
    assert made[1].read == made[1].kept + len(told) + 1


def test_the_same_uid_between_other_hosts_is_another_connection(
    conn: Path, run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    told = [{**one, "id.orig_h": "203.0.113.99"} for one in queries(conn)]
    rows = silver(run_transform(conn, write(tmp_path / "dns.log", as_tsv(*told))), stores, tmp_path)
    assert rows["zeek_dns_queries"].null_count() == ROWS


def test_labels_of_the_joined_logs_are_not_read(
    conn: Path, run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    told = queries(conn)
    labelled = [{**one, "label": "Malicious", "detailedlabel": "CC"} for one in told]
    plain = silver(run_transform(conn, write(tmp_path / "dns.log", as_json(*told))), stores, tmp_path)
    rows = silver(run_transform(conn, write(tmp_path / "dns2.log", as_json(*labelled))), stores, tmp_path)
    assert rows.equals(plain)
    assert not {"CC", "q1-0.example"} & set(json.dumps(rows.select(pl.col(pl.String)).to_dicts()).split('"'))


SharedData = Callable[[str], Path]
REAL = {
    ("zeek-labeled-strato", "005-zeek-scenario-malicious"): {"dns": 992, "http": 992},
    ("zeek-labeled-strato", "008-zeek-mixed"): {"http": 342, "ssl": 545},
    ("zeek-labeled-strato", "010-zeek-mixed"): {"dns": 8, "http": 5, "ssl": 1039},
    ("zeek-labeled-ctu", "."): {"dns": 43, "http": 2614},
    ("zeek-small", "test10-mixed-zeek-dir"): {"dns": 93, "ssl": 13},
    ("zeek-rita", "proxy"): {"dns": 942, "http": 407, "ssl": 407},
    ("zeek-rita", "proxy_rolling"): {"dns": 3189, "http": 2325},
    ("zeek-zat", "json"): {"dns": 50, "http": 28, "ssl": 50},
    ("zeek-apt29", "."): {"dns": 53, "http": 62, "ssl": 378},
}


@pytest.mark.shared_data
@pytest.mark.parametrize("place", REAL, ids="/".join)
def test_every_row_of_the_real_logs_is_accounted_for(
    place: tuple[str, str], shared_data: SharedData, run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    _, manifest = run_transform(shared_data(place[0]) / place[1])
    joined = {
        name.removeprefix("joined:"): rows for name, rows in manifest.skipped.items() if name.startswith("joined:")
    }
    assert joined == REAL[place]
    assert not manifest.quarantined
    rows = read_silver(manifest, stores[1], tmp_path / "read", ["uid", "zeek_http_requests"][: 1 + ("http" in joined)])
    assert rows.height == manifest.kept
    if "http" in joined:
        assert (rows["zeek_http_requests"].sum() or 0) <= joined["http"]
