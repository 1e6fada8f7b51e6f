"""Mapping files as inputs: stored in RAW, part of the manifest's hash, found again by every later phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.ingest import ingest, read_manifest
from cybersec_mlops.ingestion.mappings import load_mapping, load_mappings, reader_for, stored_mapping
from cybersec_mlops.ingestion.originals import mapping_key
from cybersec_mlops.storage.objects import ObjectStore

TOML = 'name = "mine"\n[columns]\nsrc = "orig_h"\ndst = "resp_h"\nproto = "proto"\ndur = "duration_s"\n'


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("src,dst,proto,dur\n10.0.0.1,10.0.0.2,tcp,1.5\n")
    return path


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> ObjectStore:
    return ObjectStore.from_url(f"memory://{request.node.nodeid}")


def test_an_original_names_the_mapping_that_explains_it(mapping: Path, table: Path, raw: ObjectStore) -> None:
    loaded = load_mapping(str(mapping))
    reference, (original,), _ = ingest([str(table)], raw, mappings=[loaded])
    assert (original.format, original.mapping) == ("mine", loaded.sha256)
    assert raw.get_bytes(mapping_key(loaded.sha256)).decode() == TOML
    (again,) = read_manifest(reference, raw)
    assert again.mapping == loaded.sha256
    assert reader_for(again, raw).name == "mine"
    assert stored_mapping(loaded.sha256, raw).reader == loaded.reader


def test_the_manifest_depends_on_the_mapping_and_on_nothing_else(mapping: Path, table: Path, raw: ObjectStore) -> None:
    first, _, _ = ingest([str(table)], raw, mappings=[load_mapping(str(mapping))])
    moved = mapping.rename(mapping.with_name("other.toml"))
    again, _, _ = ingest([str(table)], raw, mappings=[load_mapping(str(moved))])
    assert first == again
    moved.write_text(TOML + "# changed\n")
    changed, _, _ = ingest([str(table)], raw, mappings=[load_mapping(str(moved))])
    assert changed.sha256 != first.sha256


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TOML.replace("mine", "zeek_conn"), "name of another format"),
        (TOML.replace("mine", "cic") + 'x = {native = "flow_iat_mean_us"}\n', "cic_flow_iat_mean_us is a column of"),
    ],
)
def test_a_mapping_cannot_take_the_names_of_a_format(text: str, told: str, mapping: Path) -> None:
    mapping.write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_mapping(str(mapping))


def test_two_mappings_cannot_have_one_name(mapping: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(TOML)
    assert len(load_mappings([str(mapping), str(other)])) == 1
    other.write_text(TOML + "# another\n")
    with pytest.raises(ConfigError, match='two mappings are named "mine"'):
        load_mappings([str(mapping), str(other)])


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_mapping_that_is_no_file_is_a_config_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ConfigError) as caught:
        load_mapping(str(tmp_path / name))
    assert "--mapping" in caught.value.hint
