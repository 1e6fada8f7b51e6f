"""The manifest names the data by content, says where every row went, and is read back verified."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.transformation.conftest import Transform
from tests.zeek_sample import line, write_log

from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.silver import SilverManifest, SilverPart, iterate_silver, read_silver, write_manifest

Stores = tuple[ObjectStore, ObjectStore]


def test_it_survives_its_bytes(run_transform: Transform, stores: Stores, tmp_path: Path) -> None:
    reference, manifest = run_transform(write_log(tmp_path / "conn.log", [line(0), line(1), "bad\n"]))
    data = stores[1].get_bytes(stores[1].key(reference.uri), sha256=reference.sha256)
    assert SilverManifest.from_json(data, stores[1]) == manifest


def test_it_does_not_say_where_the_parts_are(run_transform: Transform, tmp_path: Path) -> None:
    """Otherwise the same data in another store would have another hash, and so would the model."""
    _, manifest = run_transform(write_log(tmp_path / "conn.log", [line(0), line(1)]))
    assert b"memory://" not in manifest.to_json()


def test_an_unknown_version_is_refused(stores: Stores) -> None:
    with pytest.raises(DataError, match="version 99"):
        SilverManifest.from_json(b'{"version": 99}', stores[1])


def test_a_damaged_part_is_never_read(run_transform: Transform, stores: Stores, tmp_path: Path) -> None:
    _, manifest = run_transform(write_log(tmp_path / "conn.log", [line(0), line(1)]))
    key = stores[1].key(manifest.parts[0].uri)
    stores[1].put_bytes(key, stores[1].get_bytes(key)[:-1] + b"?", overwrite=True)
    with pytest.raises(PlatformError, match="does not match"):
        read_silver(manifest, stores[1], tmp_path)
    assert not list(tmp_path.glob("*.parquet"))


def test_columns_can_be_chosen(run_transform: Transform, stores: Stores, tmp_path: Path) -> None:
    _, manifest = run_transform(write_log(tmp_path / "conn.log", [line(0), line(1)]))
    assert read_silver(manifest, stores[1], tmp_path, ["ts", "label"]).columns == ["ts", "label"]
    assert [part.height for part in iterate_silver(manifest, stores[1], tmp_path)] == [2]


def test_a_lost_row_is_an_error(run_transform: Transform, stores: Stores, tmp_path: Path) -> None:
    from cybersec_mlops.transformation.staging import Staged, StagedPart

    reference, manifest = run_transform(write_log(tmp_path / "conn.log", [line(0), line(1)]))
    staged = Staged("ab", "zeek_conn", False, (StagedPart("x", 3, 3, 0, 1, "ab", "zeek_conn"),), ())
    part = SilverPart(manifest.parts[0], {}, {}, None, None)
    with pytest.raises(DataError, match="rows went missing"):
        write_manifest([staged], [part], [], stores[1], dataset="d", raw_manifest=reference, columns={})
    assert SilverPart.from_dict(part.to_dict()) == part
