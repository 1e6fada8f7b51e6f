"""The ingestion alone: what is stored, what is passed over, and that the same bytes are stored once."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.config import RunSpec, TaskPolicy
from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.ingestion.ingest import store_original
from cybersec_mlops.ingestion.originals import Original
from cybersec_mlops.ingestion.sources import Source
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.platform import Platform

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    write_log(tmp_path / "logs" / "conn.log", [line(1)])
    return tmp_path / "logs"


def test_the_same_bytes_are_stored_once(
    prefect_api: str, platform: Platform, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(folder / "conn.log", folder / "again.log")
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden").write_text("hello")
    with caplog.at_level("INFO", "cybersec_mlops.progress"):
        first = data_ingestion_flow(RunSpec(sources=(str(folder),), dataset="d"), "r1")
    assert "1 new files, 0 known, 2 passed over (1 a hidden file; 1 is not of a known format" in caplog.text
    event = platform.audit.events(run_id="r1")[-1]
    assert event.outputs["objects"] == 1
    assert event.outputs["bytes"] == (folder / "conn.log").stat().st_size
    assert set(event.outputs["passed_over"]) == {str(folder / name) for name in (".hidden", "notes.txt")}
    assert sum(key.startswith("objects/") for key, _ in platform.layers.raw.list()) == 1

    renamed = RunSpec(sources=(str(shutil.copy(folder / "conn.log", tmp_path / "other.log")),), dataset="d")
    assert data_ingestion_flow(renamed, "r2")["train"] == first["train"]
    assert platform.audit.events(run_id="r2")[-1].status == "reused"


def test_new_files_of_a_folder_are_stored_and_told(
    prefect_api: str, platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    spec = RunSpec(sources=(str(folder),), dataset="d")
    for number in range(3):
        write_log(folder / f"conn.{number}.log", [line(number)])
    data_ingestion_flow(spec, "r1")
    write_log(folder / "conn.9.log", [line(9)])
    shutil.copy(folder / "conn.0.log", folder / "conn.again.log")
    with caplog.at_level("INFO", "cybersec_mlops.progress"):
        grown = data_ingestion_flow(spec, "r2")
    told = platform.audit.events(run_id="r2")[-1].outputs
    assert (told["objects"], told["new"], told["known"]) == (4, 1, 3)
    assert "ingestion: 1 new files, 3 known" in caplog.text

    other = tmp_path / "all-at-once"
    shutil.copytree(folder, other)
    at_once = data_ingestion_flow(RunSpec(sources=(str(other),), dataset="d"), "r3")
    assert at_once["train"] == grown["train"]


def test_a_log_beside_its_compressed_copy_is_told(
    prefect_api: str, platform: Platform, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "conn.log.gz").write_bytes(gzip.compress((folder / "conn.log").read_bytes()))
    with caplog.at_level("WARNING", "cybersec_mlops.progress"):
        data_ingestion_flow(RunSpec(sources=(str(folder),), dataset="d"), "r1")
    assert f"{folder / 'conn.log.gz'} has the content of {folder / 'conn.log'}" in caplog.text
    told = platform.audit.events(run_id="r1")[-1].outputs
    assert told["same_content"] == {str(folder / "conn.log.gz"): str(folder / "conn.log")}


def test_a_store_that_fails_between_two_files_of_a_task_changes_nothing_of_what_is_told(
    prefect_api: str, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(3):
        write_log(folder / f"conn.{number}.log", [line(number)])
    failures = [PlatformError("the store is away")]

    def failing(source: Source, *given: Any, **named: Any) -> Original:
        if source.name.endswith("conn.1.log") and failures:
            raise failures.pop()
        return store_original(source, *given, **named)

    monkeypatch.setattr("cybersec_mlops.pipeline.data_ingestion_flow.store_original", failing)
    data_ingestion_flow(RunSpec(sources=(str(folder),), dataset="d", tasks=TaskPolicy(retries=0)), "r1")
    told = platform.audit.events(run_id="r1")[-1].outputs
    assert not failures
    assert (told["new"], told["known"]) == (3, 0)
    assert list(told["sources"]) == [str(folder / f"conn.{number}.log") for number in range(3)]


def test_a_source_that_is_not_there_leaves_an_audit_row(prefect_api: str, platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        data_ingestion_flow(RunSpec(sources=(str(tmp_path / "none.log"),), dataset="d"), "r1")
    assert [event.status for event in platform.audit.events(run_id="r1")] == ["started", "failed"]
    assert list(platform.layers.raw.list()) == []
