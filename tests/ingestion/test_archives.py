"""Zip archives of several files."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.archives import DIRECTORY_BYTES, files_of
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.sources import Expansion, Source, expand, expand_store
from cybersec_mlops.storage.objects import ObjectStore

CONN = (Path(__file__).parent / "samples" / "zeek_conn.log").read_bytes()
OTHER = CONN.replace(b"192.0.2.10", b"192.0.2.99")


def zipped(contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file.getvalue()


def in_folder(data: bytes, tmp_path: Path) -> Expansion:
    (tmp_path / "logs.zip").write_bytes(data)
    return expand(str(tmp_path / "logs.zip"))


def in_store(data: bytes, tmp_path: Path) -> Expansion:
    store = ObjectStore.from_url(f"memory://{tmp_path.name}")
    store.put_bytes("in/logs.zip", data)
    return expand_store(store, "in/logs.zip")


Place = Callable[[bytes, Path], Expansion]
both = pytest.mark.parametrize("place", [in_folder, in_store])


def contents(source: Source) -> bytes:
    with source.open() as file:
        return file.read()


def read(found: Expansion) -> dict[str, bytes]:
    return {source.name.rpartition("logs.zip")[2]: contents(source) for source in found.sources}


@both
def test_the_files_of_an_archive_are_sources(place: Place, tmp_path: Path) -> None:
    found = place(zipped({"b.log": OTHER, "a/": b"", "a/conn.log": CONN, "__MACOSX/._b.log": b"x"}), tmp_path)
    assert read(found) == {"/a/conn.log": CONN, "/b.log": OTHER}
    assert not any(source.explicit for source in found.sources)
    assert len({source.place for source in found.sources}) == 2


@both
def test_an_archive_of_one_file_stays_a_compressed_file(place: Place, tmp_path: Path) -> None:
    data = zipped({"a/conn.log": CONN})
    (source,) = place(data, tmp_path).sources
    with source.open() as file:
        assert file.read() == data


@both
def test_a_compressed_file_alone_in_an_archive_is_read_as_one_of_several_is(place: Place, tmp_path: Path) -> None:
    found = place(zipped({"conn.log.gz": gzip.compress(CONN)}), tmp_path)
    assert read(found) == {"/conn.log.gz": gzip.compress(CONN)}


@both
def test_hidden_files_are_passed_over(place: Place, tmp_path: Path) -> None:
    found = place(zipped({"../a.log": CONN, "deep/.hidden": b"x", ".git/b.log": CONN}), tmp_path)
    assert [item.reason for item in found.skipped] == ["a hidden file"] * 2
    assert list(read(found)) == ["/../a.log"]


def test_an_archive_gives_the_originals_that_its_folder_gives(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    given = {"conn.log.gz": gzip.compress(CONN), "other.log": OTHER, "notes.txt": b"nothing"}
    for name, content in given.items():
        (tmp_path / "folder" / name).write_bytes(content)
    (tmp_path / "logs.zip").write_bytes(zipped(given))
    raw = ObjectStore.from_url("memory://archives")
    _, unpacked, _ = ingest([str(tmp_path / "folder")], raw)
    _, packed, found = ingest([str(tmp_path / "logs.zip")], raw)
    assert [one.sha256 for one in packed] == [one.sha256 for one in unpacked]
    assert [one.stored for one in packed] == [False, False]
    assert [Path(item.name).name for item in found.skipped] == ["notes.txt"]


def test_a_file_without_a_name_is_a_file(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.log": CONN, "b.log": OTHER}))
    at = data.find(b"PK\x01\x02")
    data[at + 28], data[at + 32] = 0, len("a.log")  # its name is its comment
    assert read(in_folder(bytes(data), tmp_path)) == {"/": CONN, "/b.log": OTHER}


def test_names_that_lead_out_are_only_shown(tmp_path: Path) -> None:
    found = in_folder(zipped({"../../evil.log": CONN, "/etc/\x1b[2J.log": OTHER}), tmp_path)
    assert list(read(found)) == ["/../../evil.log", "//etc/\\x1b[2J.log"]
    assert [path.name for path in tmp_path.iterdir()] == ["logs.zip"]


def test_two_files_of_one_name_are_two_sources(tmp_path: Path) -> None:
    found = in_folder(zipped({"a.log": CONN, "b.log": OTHER}).replace(b"b.log", b"a.log"), tmp_path)
    assert [contents(source) for source in found.sources] == [CONN, OTHER]
    assert len({source.place for source in found.sources}) == 2


def test_files_are_read_side_by_side(tmp_path: Path) -> None:
    given = {f"{number}.log": bytes([number]) * 300_000 for number in range(20)}
    found = in_folder(zipped(given, zipfile.ZIP_STORED), tmp_path)
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(contents, found.sources))
    assert texts == [given[name] for name in sorted(given)]


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.log": CONN, "b.log": OTHER}, zipfile.ZIP_STORED))
    data[data.find(b"192.0.2.99")] ^= 1
    good, bad = in_folder(bytes(data), tmp_path).sources
    assert contents(good) == CONN
    with bad.open() as file, pytest.raises(DataError, match=r"logs\.zip/b\.log: is damaged in its zip archive"):
        file.read()


def test_a_bomb_among_the_files_is_an_error(tmp_path: Path) -> None:
    found = in_folder(zipped({"a.log": CONN, "bomb.log": bytes(3_000_000)}), tmp_path)
    with applied(Limits(ratio_free_bytes=1_000_000)), found.sources[1].open() as file:
        with pytest.raises(DataError, match=r"bomb\.log: grows to more than .* decompression bomb") as caught:
            file.read()
        assert "max_ratio" in caught.value.hint


def test_encrypted_files_and_other_methods_are_errors(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.log": CONN, "b.log": OTHER}))
    data[6] |= 1  # the flag of an encrypted file, before it
    for archive, said in ((bytes(data), "encrypted"), (zipped({"a": CONN, "b": OTHER}, zipfile.ZIP_LZMA), "method")):
        with (
            in_folder(archive, tmp_path).sources[0].open() as file,
            pytest.raises(DataError, match=rf"logs\.zip/a.* is in a.*{said}") as caught,
        ):
            file.read()
        assert "unzip -d" in caught.value.hint


def test_more_files_than_the_limit_is_an_error(tmp_path: Path) -> None:
    data = zipped({"a.log": CONN, "b.log": OTHER})
    with applied(Limits(max_files=1)), pytest.raises(DataError, match="more than 1 files"):
        in_folder(data, tmp_path)


@pytest.mark.parametrize("cut", [10, 60, 200])
def test_an_archive_that_is_cut_off_is_left_to_be_refused_when_it_is_read(cut: int, tmp_path: Path) -> None:
    found = in_folder(zipped({"a.log": CONN, "b.log": OTHER})[:-cut], tmp_path)
    assert [Path(source.name).name for source in found.sources] == ["logs.zip"]


@pytest.mark.parametrize("shift", [1, -1])
def test_a_directory_that_points_out_of_the_archive_is_damage(shift: int) -> None:
    data = bytearray(zipped({"a.log": CONN, "b.log": OTHER}))
    at = data.rfind(b"PK\x05\x06")
    start = int.from_bytes(data[at + 16 : at + 20], "little")
    data[at + 16 : at + 20] = (start + shift * 10_000).to_bytes(4, "little", signed=True)  # where the directory begins
    assert files_of(io.BytesIO(bytes(data))) is None


def test_a_directory_that_would_fill_the_memory_is_not_opened() -> None:
    data = bytearray(zipped({"a.log": CONN, "b.log": OTHER}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = (DIRECTORY_BYTES + 1).to_bytes(4, "little")
    assert files_of(io.BytesIO(bytes(data))) is None
