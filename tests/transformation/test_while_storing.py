"""What is parsed while it is stored is what would be parsed afterwards, or is forgotten."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ingestion.test_readers import SAMPLES, sample
from tests.zeek_sample import line, write_log

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.ingestion.originals import Original, object_key
from cybersec_mlops.ingestion.readers import READERS
from cybersec_mlops.ingestion.sources import stream_of
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation import staging, while_storing
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform
from cybersec_mlops.transformation.while_storing import parsing

AGAIN = {"zeek_mixed.json"}
"""Read a second time for what its other logs say of connections."""


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cybersec_mlops.ingestion.ingest.ONE_PASS_BYTES", 0)


@pytest.fixture(params=["folder", "no folder"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return ObjectStore.from_url(f"file://{tmp_path}/raw" if request.param == "folder" else f"memory://{tmp_path.name}")


@pytest.fixture
def parsed(tmp_path: Path) -> Path:
    folder = tmp_path / "parsed"
    folder.mkdir()
    return folder


def ingested(file: Path, raw: ObjectStore, parsed: Path, timezone: str = "UTC") -> tuple[Reference, Original]:
    manifest, (original,), _ = ingest([str(file)], raw, onlooker=parsing(raw, parsed, timezone=timezone))
    return manifest, original


def silver_of(
    manifest: Reference, original: Original, raw: ObjectStore, folder: Path, parsed: Path | None
) -> Reference:
    silver = ObjectStore.from_url(f"file://{folder}/silver")
    spec = TransformationSpec()
    made, _ = transform([original], manifest, raw, silver, folder / "scratch", dataset="d", spec=spec, parsed=parsed)
    return made


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", [name for name, (format_name, *_) in SAMPLES.items() if format_name in READERS])
def test_the_same_rows_without_a_look_at_raw(
    name: str, pack: Callable[[bytes], bytes], raw: ObjectStore, parsed: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(pack(sample(name)))
    manifest, original = ingested(tmp_path / name, raw, parsed)
    afterwards = silver_of(manifest, original, raw, tmp_path / "a", None)
    if name not in AGAIN:
        raw.delete(object_key(original.sha256))
    beside = silver_of(manifest, original, raw, tmp_path / "b", parsed)
    assert (beside.sha256, beside.rows) == (afterwards.sha256, afterwards.rows)
    assert [one.name for one in parsed.iterdir()] == ([] if name in AGAIN else [original.sha256])
    assert list((tmp_path / "b" / "scratch").rglob("rows-*")) == [] or name in AGAIN


def test_refused_rows_are_kept_as_well(raw: ObjectStore, parsed: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(0), line(1, resp_p="99999"), line(2)])
    manifest, original = ingested(log, raw, parsed)
    made = [silver_of(manifest, original, raw, tmp_path / str(place), place) for place in (None, parsed)]
    assert made[0].sha256 == made[1].sha256


def test_a_file_that_cannot_be_read_is_told_and_leaves_nothing(raw: ObjectStore, parsed: Path, tmp_path: Path) -> None:
    (tmp_path / "conn.log.gz").write_bytes(gzip.compress(sample("zeek_conn.log"))[:-9])
    with pytest.raises(DataError, match="ends early"):
        ingested(tmp_path / "conn.log.gz", raw, parsed)
    assert list(parsed.iterdir()) == []
    assert list(raw.list()) == []


def test_what_fails_is_done_again_from_raw(
    raw: ObjectStore, parsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    log = write_log(tmp_path / "conn.log", [line(number) for number in range(9)])
    for owner, step in ((while_storing, "keep_parsed"), (staging, "_write_arrow")):
        with monkeypatch.context() as full:
            full.setattr(owner, step, failing)
            manifest, original = ingested(log, raw, parsed)
        assert original.stored
        assert list(parsed.iterdir()) == []
        assert silver_of(manifest, original, raw, tmp_path / step, parsed).rows == 9
        raw.delete(object_key(original.sha256))


def test_times_of_another_zone_are_not_taken(raw: ObjectStore, parsed: Path, tmp_path: Path) -> None:
    name = "cic2017_flows.csv"
    (tmp_path / name).write_bytes(sample(name))
    manifest, original = ingested(tmp_path / name, raw, parsed, timezone="Asia/Tokyo")
    assert (parsed / original.sha256).exists()
    made = [silver_of(manifest, original, raw, tmp_path / str(place), place) for place in (None, parsed)]
    assert made[0].sha256 == made[1].sha256


def test_what_other_files_may_explain_is_left_for_later(raw: ObjectStore, parsed: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(0)])
    _, original = ingested(log, raw, parsed)
    told = Original.from_dict({**original.to_dict(), "shared": ["ab"]})
    (parsed / "other").mkdir()
    look = parsing(raw, parsed / "other")
    look(told, stream_of(iter([log.read_bytes()])))(told)
    assert list((parsed / "other").iterdir()) == []
    raw.delete(object_key(original.sha256))
    with pytest.raises(DataError):  # looked for in RAW
        staging.stage_original(told, raw, tmp_path / "scratch", parsed=parsed)


def test_of_the_same_bytes_under_two_names_one_is_kept(raw: ObjectStore, parsed: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(number) for number in range(9)])
    manifest, original = ingested(log, raw, parsed)
    parsing(raw, parsed)(original, stream_of(iter([log.read_bytes()])))(original)
    assert [one.name for one in parsed.iterdir()] == [original.sha256]
    assert silver_of(manifest, original, raw, tmp_path, parsed).rows == 9
