from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, PROVENANCE_SCHEMA, REJECTED_SCHEMA
from cybersec_mlops.errors import ConfigError, DataError, PlatformError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.silver import SilverCatalog, Snapshot

SCHEMA: dict[str, pl.DataType] = {"n": pl.Int64(), "ts": pl.Datetime("us", "UTC"), "kdd_rate": pl.Float64()}
MOMENT = datetime(2017, 7, 7, 15, 30, 0, 1, tzinfo=UTC)


@pytest.fixture(
    params=[
        "sqlite-file",
        pytest.param("postgresql-s3", marks=[pytest.mark.services, pytest.mark.xdist_group("services")]),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Address of a database and of a store: the embedded default and production."""
    if request.param == "sqlite-file":
        return f"sqlite:///{tmp_path}/audit.db", f"file://{tmp_path}/with blank/silver"
    return request.getfixturevalue("postgres_url"), request.getfixturevalue("s3").url("silver")


@pytest.fixture
def silver(place: tuple[str, str]) -> ObjectStore:
    store = ObjectStore.from_url(place[1])
    store.ensure()
    return store


@pytest.fixture
def catalog(place: tuple[str, str], silver: ObjectStore) -> SilverCatalog:
    return SilverCatalog.open(place[0], silver)


def rows(*numbers: int, schema: dict[str, pl.DataType] = SCHEMA) -> pl.DataFrame:
    frame = pl.DataFrame({"n": numbers}, schema={"n": pl.Int64()})
    columns = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in ("n", "ts")]
    return frame.with_columns(pl.lit(MOMENT, pl.Datetime("us", "UTC")).alias("ts"), *columns).select(list(schema))


@pytest.fixture
def part(silver: ObjectStore) -> Callable[[str, pl.DataFrame], Reference]:
    def put(name: str, frame: pl.DataFrame) -> Reference:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        reference = silver.put_bytes(f"parts/{name}.parquet", buffer.getvalue())
        return Reference(reference.uri, reference.sha256, reference.bytes, frame.height)

    return put


Part = Callable[[str, pl.DataFrame], Reference]


def numbers(catalog: SilverCatalog, table: str, tag: str) -> list[int]:
    return sorted(catalog.scan(table, tag).collect()["n"].to_list())


def test_what_is_published_is_scanned(catalog: SilverCatalog, silver: ObjectStore, part: Part) -> None:
    frames = [rows(1, 2).with_columns(kdd_rate=pl.lit(0.5)), rows(3)]
    parts = [part(f"p{number}", frame) for number, frame in enumerate(frames)]
    snapshot = catalog.publish("silver.kdd", parts, tag="t1", schema=SCHEMA)
    assert (snapshot.table, snapshot.tag, snapshot.rows) == ("silver.kdd", "t1", 3)
    assert snapshot.uri == f"{silver.url}/iceberg/silver/kdd"
    assert catalog.snapshot("silver.kdd", "t1") == snapshot
    assert_frame_equal(catalog.scan("silver.kdd", "t1").collect(), pl.concat(frames), check_row_order=False)


def test_the_same_tag_again_is_the_same_snapshot(catalog: SilverCatalog, part: Part) -> None:
    first = catalog.publish("silver.kdd", [part("a", rows(1))], tag="t1", schema=SCHEMA)
    assert catalog.publish("silver.kdd", [part("b", rows(2))], tag="t1", schema=SCHEMA) == first
    assert numbers(catalog, "silver.kdd", "t1") == [1]


def test_new_content_replaces_the_old_which_stays_readable(catalog: SilverCatalog, part: Part) -> None:
    a, b, c = part("a", rows(1)), part("b", rows(2)), part("c", rows(3))
    catalog.publish("silver.kdd", [a, b], tag="t1", schema=SCHEMA)
    catalog.publish("silver.kdd", [b, c], tag="t2", schema=SCHEMA)  # one part is in both
    catalog.publish("silver.kdd", [a], tag="t3", schema=SCHEMA)
    assert [numbers(catalog, "silver.kdd", tag) for tag in ("t1", "t2", "t3")] == [[1, 2], [2, 3], [1]]


def test_an_empty_table(catalog: SilverCatalog, part: Part) -> None:
    empty = catalog.publish("quarantine.kdd", [], tag="t1", schema=REJECTED_SCHEMA)
    assert empty.rows == 0
    assert catalog.scan("quarantine.kdd", "t1").collect().schema == pl.Schema(REJECTED_SCHEMA)
    catalog.publish("quarantine.kdd", [part("a", rows(1))], tag="t2", schema=SCHEMA)
    assert catalog.publish("quarantine.kdd", [], tag="t3", schema=SCHEMA).rows == 0
    assert catalog.publish("quarantine.kdd", [part("none", rows())], tag="t4", schema=SCHEMA).rows == 0
    assert numbers(catalog, "quarantine.kdd", "t2") == [1]
    assert numbers(catalog, "quarantine.kdd", "t4") == []


def test_new_columns_are_added_and_old_snapshots_keep_theirs(catalog: SilverCatalog, part: Part) -> None:
    wider = {"n": pl.Int64(), "ts": pl.Datetime("us", "UTC"), "unsw_sttl": pl.Float64(), "service": pl.String()}
    catalog.publish("silver.mix", [part("a", rows(1))], tag="t1", schema=SCHEMA)
    both = [part("b", rows(2, schema=wider).with_columns(service=pl.lit("dns"))), part("c", rows(3))]
    catalog.publish("silver.mix", both, tag="t2", schema=wider)
    assert catalog.scan("silver.mix", "t1").collect().schema == pl.Schema(SCHEMA)
    second = catalog.scan("silver.mix", "t2").collect().sort("n")
    assert second.schema == pl.Schema({**SCHEMA, "unsw_sttl": pl.Float64(), "service": pl.String()})
    assert second["service"].to_list() == ["dns", None]


def test_the_whole_canonical_schema(catalog: SilverCatalog, part: Part) -> None:
    schema = {**PROVENANCE_SCHEMA, **CONNECTION_SCHEMA, **LABEL_SCHEMA, "n": pl.Int64(), "flag": pl.Boolean()}
    frame = rows(1, schema=schema).with_columns(orig_p=pl.lit(80, pl.Int32()), is_attack=pl.lit(True))
    catalog.publish("silver.all", [part("a", frame)], tag="t1", schema=schema)
    assert_frame_equal(catalog.scan("silver.all", "t1").collect(), frame)


def test_a_column_of_another_type_is_refused(catalog: SilverCatalog, part: Part) -> None:
    catalog.publish("silver.kdd", [part("a", rows(1))], tag="t1", schema=SCHEMA)
    with pytest.raises(DataError, match=r"another type than before in silver.kdd.*kdd_rate") as caught:
        catalog.publish("silver.kdd", [], tag="t2", schema={**SCHEMA, "kdd_rate": pl.String()})
    assert "--dataset" in caught.value.hint
    assert catalog.snapshot("silver.kdd", "t2") is None
    with pytest.raises(DataError, match="column x is List"):
        catalog.publish("silver.kdd", [], tag="t3", schema={"x": pl.List(pl.Int64())})


def test_parts_that_cannot_be_are_refused_and_nothing_is_published(
    catalog: SilverCatalog, silver: ObjectStore, part: Part
) -> None:
    good = part("a", rows(1, 2))
    garbage = silver.put_bytes("parts/garbage.parquet", b"PAR1 not really")
    wrong: list[tuple[list[Reference], type[Exception], str]] = [
        ([Reference(good.uri, good.sha256, good.bytes, 3)], DataError, "has 2 rows, expected 3"),
        ([good, good], DataError, "the same part twice"),
        ([Reference(silver.uri("parts/none"), "0" * 64, 1)], DataError, "is not in"),
        ([Reference("memory://elsewhere/x", "0" * 64, 1)], DataError, "is not in"),
        ([garbage], PlatformError, "SILVER catalogue"),
    ]
    for parts, kind, message in wrong:
        with pytest.raises(kind, match=message):
            catalog.publish("silver.kdd", parts, tag="t1", schema=SCHEMA)
        assert catalog.snapshot("silver.kdd", "t1") is None


def test_what_is_not_there(catalog: SilverCatalog) -> None:
    assert catalog.snapshot("silver.nothing", "t1") is None
    with pytest.raises(DataError, match=r"the table silver.nothing has no snapshot 't1'"):
        catalog.scan("silver.nothing", "t1")


def test_another_catalogue_sees_the_same(catalog: SilverCatalog, place: tuple[str, str], part: Part) -> None:
    snapshot = catalog.publish("silver.kdd", [part("a", rows(1))], tag="t1", schema=SCHEMA)
    again = SilverCatalog.open(place[0], ObjectStore.from_url(place[1]))
    assert again.snapshot("silver.kdd", "t1") == snapshot


PUBLISHER = """
import sys
from pathlib import Path
import polars as pl
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.silver import SilverCatalog
database, store, uri, *tags = sys.argv[1:]
schema = {"n": pl.Int64(), "ts": pl.Datetime("us", "UTC"), "kdd_rate": pl.Float64()}
catalog = SilverCatalog.open(database, ObjectStore.from_url(store))
for tag in tags:
    print(catalog.publish("silver.kdd", [Reference(uri, "", 0, 1)], tag=tag, schema=schema).snapshot_id)
"""


def test_processes_that_publish_at_once(place: tuple[str, str], silver: ObjectStore, part: Part) -> None:
    parts = [part(f"p{number}", rows(number)) for number in range(3)]
    publishers = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, *place, reference.uri, "same", f"own{number}", f"second{number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, reference in enumerate(parts)
    ]
    told = [publisher.communicate(timeout=120) for publisher in publishers]
    assert [publisher.returncode for publisher in publishers] == [0, 0, 0], told  # one may say that it waits
    assert len({output.splitlines()[0] for output, _ in told}) == 1  # one of them made the common snapshot
    catalog = SilverCatalog.open(place[0], silver)
    for number in range(3):
        assert numbers(catalog, "silver.kdd", f"own{number}") == [number]
        assert numbers(catalog, "silver.kdd", f"second{number}") == [number]
    assert len(numbers(catalog, "silver.kdd", "same")) == 1


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://me:hunter2@h/d"])
def test_addresses_that_are_no_database(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SilverCatalog.open(url, ObjectStore.from_url("memory://x"))
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.services
def test_a_wrong_password_is_said_and_not_shown(postgres_url: str) -> None:
    user, _, rest = postgres_url.removeprefix("postgresql://").partition(":")
    wrong = f"postgresql://{user}:hunter2@{rest.partition('@')[2]}"
    with pytest.raises(PlatformError, match="password authentication failed") as caught:
        SilverCatalog.open(wrong, ObjectStore.from_url("memory://x"))
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_snapshots_are_values() -> None:
    assert Snapshot("silver.x", 1, "t", 2, "u") == Snapshot("silver.x", 1, "t", 2, "u")
