"""The files of a simulation: repeatable bytes, readable by the product's own readers, nothing overwritten."""

from __future__ import annotations

import gzip
import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cybersec_mlops.connections import BENIGN
from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.ingestion.cicflowmeter import CICFlowMeter
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.simulate.simulate import Simulated, simulate
from cybersec_mlops.simulate.writers import FORMATS


def hashes(made: Simulated) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.files}


def contents(made: Simulated) -> list[bytes]:
    return [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in made.files]


def read(made: Simulated, format: str = "zeek-tsv") -> pl.DataFrame:  # noqa: A002
    reader = CICFlowMeter() if format == "cicflowmeter" else ZeekConn()
    batches = [b for data in contents(made) for b in reader.read(io.BytesIO(data), source="simulated")]
    assert sum(batch.rejected.height for batch in batches) == 0
    return pl.concat(batch.rows for batch in batches)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("compress", [False, True])
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, format: str, compress: bool) -> None:  # noqa: A002
    arguments: dict[str, Any] = {"connections": 1_000, "format": format, "compress": compress}
    one, two = (simulate(tmp_path / name, **arguments) for name in ("one", "two"))
    assert hashes(one) == hashes(two)
    assert hashes(simulate(tmp_path / "other", **arguments, seed=8)) != hashes(one)


@pytest.mark.parametrize("format", FORMATS)
def test_the_readers_of_the_product_read_every_row_and_label(tmp_path: Path, format: str) -> None:  # noqa: A002
    made = simulate(tmp_path, connections=3_000, format=format, attack_fraction=0.1)
    rows = read(made, format)
    assert rows.height == made.connections == 3_000
    counts = dict(rows["label"].value_counts().iter_rows())
    names = {name.rpartition("/")[2]: count for name, count in counts.items()}
    assert names == {BENIGN: 2_700, **made.attacks}
    assert rows["is_attack"].sum() == sum(made.attacks.values()) == 300


@pytest.mark.parametrize("labelled", [False, True])
def test_tsv_and_json_say_the_same(tmp_path: Path, labelled: bool) -> None:
    arguments: dict[str, Any] = {"connections": 2_000, "labelled": labelled, "rotate": False}
    tsv = read(simulate(tmp_path / "tsv", **arguments))
    from_json = read(simulate(tmp_path / "json", **arguments, format="zeek-json"))
    same = [name for name in tsv.columns if name not in ("raw_line", "label_original")]
    assert_frame_equal(tsv.select(same), from_json.select(same))
    assert (tsv["label"].null_count() == 0) == labelled


def test_rotation_and_compression_change_no_row(tmp_path: Path) -> None:
    single = simulate(tmp_path / "single", connections=2_000, rotate=False)
    hourly = simulate(tmp_path / "hourly", connections=2_000, compress=True)
    assert [path.name for path in single.files] == ["conn.log"]
    assert len(hourly.files) == 24
    assert hourly.files[0].name == "conn.00:00:00-01:00:00.log.gz"
    assert_frame_equal(read(single).drop("raw_line"), read(hourly).drop("raw_line"))


def test_each_file_holds_its_own_hour(tmp_path: Path) -> None:
    made = simulate(tmp_path, connections=3_000, hours=2.75, start=datetime(2026, 3, 2, 22, 30, tzinfo=UTC))
    found = [str(path.relative_to(tmp_path)) for path in made.files]
    assert found == [
        "2026-03-02/conn.22:30:00-23:00:00.log",
        "2026-03-02/conn.23:00:00-00:00:00.log",
        "2026-03-03/conn.00:00:00-01:00:00.log",
        "2026-03-03/conn.01:00:00-02:00:00.log",
    ]
    for path in made.files:
        hours = {f"{ts:%H}" for ts in read(Simulated((path,), 0, {}))["ts"]}
        assert hours == {path.name[5:7]}


def test_a_second_time_replaces_its_own_files_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    first = simulate(tmp_path, connections=500)
    second = simulate(tmp_path, connections=500)
    assert hashes(first) == hashes(second)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_smaller_simulation_leaves_no_hour_of_the_larger_one(tmp_path: Path) -> None:
    simulate(tmp_path, connections=3_000)
    made = simulate(tmp_path, connections=3, attack_fraction=0)
    assert sorted(tmp_path.iterdir()) == sorted(made.files)
    assert read(made).height == 3


@pytest.mark.parametrize("content", [b"", b"precious\n", b"#separator \\x09\n#path\tconn\n", b"\x1f\x8bbroken"])
def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "conn.log").write_bytes(content)
    with pytest.raises(ConfigError, match="not written by simulate") as raised:
        simulate(tmp_path, connections=100, rotate=False)
    assert raised.value.hint
    assert (tmp_path / "conn.log").read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    target = simulate(tmp_path / "a", connections=50, rotate=False).files[0]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "conn.log").symlink_to(target)
    with pytest.raises(ConfigError, match="not written by simulate"):
        simulate(tmp_path / "b", connections=60, rotate=False)


def test_two_simulations_are_not_mixed_in_one_folder(tmp_path: Path) -> None:
    simulate(tmp_path, connections=100, rotate=False)
    with pytest.raises(ConfigError, match="another simulation"):
        simulate(tmp_path, connections=100)
    assert [path.name for path in tmp_path.iterdir()] == ["conn.log"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="expected a folder"):
        simulate(tmp_path / "file", connections=10)


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="zeek-tsv, zeek-json, cicflowmeter"):
        simulate(tmp_path, connections=10, format="pcap")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_take_it_is_a_platform_error_and_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".conn.05:00:00-06:00:00.log.part").mkdir()  # the sixth file cannot be opened
    with pytest.raises(PlatformError, match="cannot write") as raised:
        simulate(tmp_path, connections=2_000)
    assert raised.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [".conn.05:00:00-06:00:00.log.part"]
