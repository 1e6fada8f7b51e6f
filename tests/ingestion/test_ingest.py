"""Files into RAW."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import lzma
import tracemalloc
import zipfile
from pathlib import Path
from typing import BinaryIO

import pytest

from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.ingestion.ingest import Settle, find_sources, ingest, open_original, store_original
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.originals import Original, object_key, read_manifest, receipt_key, same_content
from cybersec_mlops.ingestion.sources import Source, expand
from cybersec_mlops.storage.objects import ObjectStore

SAMPLES = Path(__file__).parent / "samples"
CONN = (SAMPLES / "zeek_conn.log").read_bytes()
LONG = CONN.splitlines(keepends=True)[8] * 20_000
"""Rows beyond what a file is recognised by."""
DNS = b"#separator \\x09\n#path\tdns\n#fields\tts\tuid\tquery\n1\tC\tx\n"


@pytest.fixture(params=["memory", "file"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "file":
        return ObjectStore.from_url(f"file://{tmp_path}/raw")
    return ObjectStore.from_url(f"memory://ingest-{request.node.name}")


def source_of(path: Path) -> Source:
    (source,) = expand(str(path)).sources
    return source


def keys(raw: ObjectStore) -> list[str]:
    return [key for key, _ in raw.list()]


def test_originals_are_stored_byte_for_byte_under_their_hash(raw: ObjectStore, tmp_path: Path) -> None:
    packed = gzip.compress(CONN, mtime=0)
    (tmp_path / "conn.log.gz").write_bytes(packed)
    original = store_original(source_of(tmp_path / "conn.log.gz"), raw)
    sha256 = hashlib.sha256(packed).hexdigest()
    assert original.sha256 == sha256
    assert raw.get_bytes(object_key(sha256)) == packed
    assert (original.format, original.variant, original.compression) == ("zeek_conn", "tsv", "gzip")
    assert (original.bytes, original.decompressed_bytes, original.lines) == (len(packed), len(CONN), CONN.count(b"\n"))
    assert original.stored
    receipt = json.loads(raw.get_bytes(receipt_key(sha256)))
    assert receipt["source_name"].endswith("conn.log.gz")
    assert receipt["ignored"] == ["tunnel_parents"]


def test_the_same_bytes_are_stored_once_under_any_name(raw: ObjectStore, tmp_path: Path) -> None:
    for name in ("first.log", "second.log"):
        (tmp_path / name).write_bytes(CONN)
    reference, originals, _ = ingest([str(tmp_path / "first.log"), str(tmp_path / "second.log")], raw)
    assert [original.stored for original in originals] == [True, False]
    assert {Path(original.source_name).name for original in originals} == {"first.log"}
    assert len(read_manifest(reference, raw)) == 1
    before = keys(raw)
    again, repeated, _ = ingest([str(tmp_path / "second.log")], raw)
    assert again == reference
    assert not repeated[0].stored
    assert keys(raw) == before


def test_a_file_in_another_compression_has_the_same_content(raw: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "conn.log").write_bytes(CONN)
    (tmp_path / "conn.log.gz").write_bytes(gzip.compress(CONN, 1, mtime=0))
    (tmp_path / "conn.log.xz").write_bytes(lzma.compress(CONN))
    (tmp_path / "other.log").write_bytes(CONN + CONN.splitlines(keepends=True)[-1])
    _, originals, _ = ingest([str(tmp_path)], raw)
    plain, *packed, other = originals
    assert plain.content == plain.sha256
    assert {one.content for one in packed} == {plain.content} != {other.content}
    again = {one.source_name: plain.source_name for one in packed}
    assert same_content(originals) == same_content([*originals, plain]) == again


def test_a_damaged_object_is_written_again(raw: ObjectStore) -> None:
    source = source_of(SAMPLES / "zeek_conn.log")
    original = store_original(source, raw)
    raw.put_bytes(object_key(original.sha256), b"x" * original.bytes, overwrite=True)
    assert store_original(source, raw).stored
    assert raw.get_bytes(object_key(original.sha256)) == CONN


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.log", b"", "is empty"),
        ("empty.log.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("dns.log", DNS, "another type: dns.log"),
        ("what.bin", b"\x01\0\x02", "not of a known format"),
        ("header.log", CONN.split(b"1718")[0], "a header and no rows"),
        ("cut.log.gz", gzip.compress(CONN, mtime=0)[:-20], "the gzip stream ends early"),
        ("bad.log.gz", b"\x1f\x8b\x08\0" + b"\xff" * 99, "the gzip stream is damaged"),
        ("conn.log", CONN.replace(b"\tproto", b"\tprotocol"), "proto missing"),
    ],
)
def test_a_named_file_that_cannot_be_used_leaves_nothing(
    name: str, content: bytes, problem: str, raw: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        ingest([str(tmp_path / name)], raw)
    assert str(tmp_path / name) == caught.value.source
    assert caught.value.hint
    assert keys(raw) == []


def test_in_a_folder_files_of_another_type_are_passed_over_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "conn.log").write_bytes(CONN)
    (tmp_path / "dns.log").write_bytes(DNS)
    (tmp_path / "quiet.log").write_bytes(CONN.split(b"1718")[0])
    (tmp_path / "empty.log").write_bytes(b"")
    found = find_sources([str(tmp_path)])
    assert [Path(source.name).name for source in found.sources] == ["conn.log"]
    assert {Path(item.name).name: item.reason.split(" (")[0] for item in found.skipped} == {
        "dns.log": "a Zeek log of another type: dns.log",
        "empty.log": "is empty",
        "quiet.log": "a Zeek conn log with a header and no rows",
    }


@pytest.mark.parametrize("content", [CONN.replace(b"\tproto", b"\tprotocol"), b"\x1f\x8b\x08\0" + b"\xff" * 99])
def test_in_a_folder_a_file_that_nearly_is_one_is_no_detail(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "conn.log").write_bytes(CONN)
    (tmp_path / "worse.log").write_bytes(content)
    with pytest.raises(DataError, match=r"worse\.log"):
        find_sources([str(tmp_path)])


def test_a_folder_without_anything_usable_says_what_was_there(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.log").write_bytes(DNS)
    with pytest.raises(DataError, match=r"no file that can be used: .*0\.log .*and 2 more"):
        find_sources([str(tmp_path)])
    with pytest.raises(DataError, match="was named"):
        find_sources([])


def test_a_file_that_is_found_and_named_is_taken_once_and_is_meant(tmp_path: Path) -> None:
    (tmp_path / "dns.log").write_bytes(DNS)
    (tmp_path / "conn.log").write_bytes(CONN)
    found = find_sources([str(tmp_path), str(tmp_path / "conn.log")])
    assert [source.explicit for source in found.sources] == [True]
    assert [source.explicit for source in find_sources([str(tmp_path / "dns.log")]).sources] == [True]


def test_files_whose_names_look_the_same_are_all_taken(tmp_path: Path) -> None:
    for name in ("x\x1b.log", "x\\x1b.log"):
        (tmp_path / name).write_bytes(CONN)
    assert len(find_sources([str(tmp_path)]).sources) == 2


def test_the_format_may_be_named(raw: ObjectStore) -> None:
    with pytest.raises(DataError, match="is not of the format cicflowmeter"):
        ingest([str(SAMPLES / "zeek_conn.log")], raw, format="cicflowmeter")
    found = find_sources([str(SAMPLES)], format="zeek_conn")
    assert {Path(source.name).suffix for source in found.sources} == {".log", ".json"}


def test_a_bomb_is_stopped_before_anything_is_written(raw: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(CONN + b"#" * 10_000_000))
    with applied(Limits(max_ratio=50, ratio_free_bytes=1 << 20)), pytest.raises(DataError, match="bomb") as caught:
        ingest([str(tmp_path / "bomb.gz")], raw)
    assert "max_ratio" in caught.value.hint
    assert keys(raw) == []


def test_a_file_that_changes_while_it_is_read_is_told(raw: ObjectStore) -> None:
    contents = iter([CONN, CONN.replace(b"tcp", b"udp")])

    def opener() -> BinaryIO:
        return io.BytesIO(next(contents))

    with pytest.raises(DataError, match="SHA-256") as caught:
        store_original(Source("moving.log", len(CONN), True, opener, "moving"), raw)
    assert "changed while it was read" in caught.value.hint
    assert keys(raw) == []


def test_an_original_opens_decompressed(raw: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "conn.log.gz").write_bytes(gzip.compress(CONN))
    original = store_original(source_of(tmp_path / "conn.log.gz"), raw)
    with open_original(original, raw) as stream:
        assert stream.read() == CONN


@pytest.mark.parametrize("read", [0, 5, -1])
def test_what_was_read_of_a_damaged_original_is_no_result(read: int, raw: ObjectStore) -> None:
    original = store_original(source_of(SAMPLES / "zeek_conn.log"), raw)
    raw.put_bytes(object_key(original.sha256), CONN.replace(b"tcp", b"udp"), overwrite=True)
    with pytest.raises(PlatformError, match="does not match its SHA-256"):  # noqa: SIM117
        with open_original(original, raw) as stream:
            stream.read(read)


def test_damage_is_told_before_what_it_led_to(raw: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "conn.log.gz").write_bytes(gzip.compress(CONN))
    original = store_original(source_of(tmp_path / "conn.log.gz"), raw)
    raw.put_bytes(object_key(original.sha256), gzip.compress(CONN)[:-9], overwrite=True)
    with pytest.raises(PlatformError, match="does not match its SHA-256"):  # noqa: SIM117
        with open_original(original, raw) as stream:
            stream.read()


def test_an_original_that_is_gone_is_told(raw: ObjectStore) -> None:
    original = store_original(source_of(SAMPLES / "zeek_conn.log"), raw)
    raw.delete(object_key(original.sha256))
    with pytest.raises(DataError):  # noqa: SIM117
        with open_original(original, raw) as stream:
            stream.read()


def test_a_large_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    raw = ObjectStore.from_url(f"file://{tmp_path}/raw")
    row = CONN.splitlines(keepends=True)[8]
    (tmp_path / "large.log").write_bytes(CONN + row * (200_000_000 // len(row)))
    tracemalloc.start()
    try:
        original = store_original(source_of(tmp_path / "large.log"), raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert original.bytes > 199_000_000
    assert peak < 150_000_000


@pytest.fixture
def one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Return a folder that every file counts as large for."""
    monkeypatch.setattr("cybersec_mlops.ingestion.ingest.ONE_PASS_BYTES", 0)
    return ObjectStore.from_url(f"file://{tmp_path}/raw")


def files_of(store: ObjectStore) -> list[str]:
    assert store.folder is not None
    return sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file())


def counted(content: bytes, opened: list[bytes]) -> Source:
    def opener() -> BinaryIO:
        opened.append(content)
        return io.BytesIO(content)

    return Source("conn.log", len(content), True, opener, "conn")


@pytest.mark.parametrize("content", [CONN, gzip.compress(CONN)], ids=["plain", "gzip"])
def test_a_large_file_is_read_once_by_a_folder(content: bytes, one_pass: ObjectStore, tmp_path: Path) -> None:
    opened = list[bytes]()
    original = store_original(counted(content, opened), one_pass)
    assert len(opened) == 1
    assert original.stored
    assert one_pass.get_bytes(object_key(original.sha256), sha256=original.sha256) == content
    in_two = store_original(counted(content, opened), ObjectStore.from_url(f"memory://{tmp_path.name}"))
    assert len(opened) == 3
    assert dataclasses.replace(original, uri=in_two.uri) == in_two


@pytest.fixture(params=["folder", "no folder"])
def any_store(request: pytest.FixtureRequest, one_pass: ObjectStore, tmp_path: Path) -> ObjectStore:
    """Return a store that every file counts as large for."""
    return one_pass if request.param == "folder" else ObjectStore.from_url(f"memory://{tmp_path.name}")


@pytest.mark.parametrize("wanted", [0, 10, -1], ids=["nothing", "a little", "all"])
@pytest.mark.parametrize("content", [CONN, gzip.compress(CONN)], ids=["plain", "gzip"])
def test_an_onlooker_sees_the_content_and_changes_nothing(content: bytes, wanted: int, any_store: ObjectStore) -> None:
    seen, settled = list[bytes](), list[Original | None]()

    def look(draft: Original, stream: BinaryIO) -> Settle:
        assert (draft.format, draft.sha256) == ("zeek_conn", "")
        seen.append(stream.read(wanted))
        return settled.append

    original = store_original(counted(content, []), any_store, onlooker=look)
    assert settled == [original]
    assert seen == [CONN[: wanted if wanted >= 0 else None]]
    assert not store_original(counted(content, []), any_store, onlooker=look).stored
    assert len(seen) == 1
    any_store.delete(object_key(original.sha256))
    assert store_original(counted(content, []), any_store) == original


def test_an_onlooker_is_told_that_what_it_saw_was_not_stored(any_store: ObjectStore) -> None:
    settled, opened = list[Original | None](), list[bytes]()

    def opener() -> BinaryIO:  # another file each time
        opened.append(CONN.replace(b"tcp", b"udp") if opened else CONN)
        return io.BytesIO(opened[-1])

    size = len(CONN) - 1 if any_store.folder else len(CONN)  # which reads it once
    source = Source("conn.log", size, True, opener, "conn")
    with pytest.raises(DataError, match=r"has .*, expected "):
        store_original(source, any_store, onlooker=lambda *_: settled.append)
    assert settled == [None]
    assert list(any_store.list()) == []


def test_nobody_looks_at_anything_where_it_takes_long_to_know_what_is_new(
    any_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cybersec_mlops.ingestion.ingest.LISTED_OBJECTS", 1)
    store_original(counted(CONN.replace(b"tcp", b"udp"), []), any_store)
    assert store_original(counted(CONN, []), any_store, onlooker=lambda *_: pytest.fail("it was shown")).stored


def test_what_a_file_fails_with_is_told_whatever_its_onlooker_makes_of_it(any_store: ObjectStore) -> None:
    settled = list[Original | None]()

    def look(_: Original, stream: BinaryIO) -> Settle:
        with contextlib.suppress(DataError):
            stream.read()
        return settled.append

    with pytest.raises(DataError, match="ends early"):
        store_original(counted(gzip.compress(CONN + LONG)[:-9], []), any_store, onlooker=look)
    assert settled == [None]
    assert list(any_store.list()) == []


def test_bytes_that_a_folder_may_have_are_not_written_before_their_hash_is_known(one_pass: ObjectStore) -> None:
    opened = list[bytes]()
    first = store_original(counted(CONN, opened), one_pass)
    known = files_of(one_pass)
    assert store_original(counted(CONN, opened), one_pass) == dataclasses.replace(first, stored=False)
    assert (len(opened), files_of(one_pass)) == (2, known)
    other = CONN.replace(b"tcp", b"udp")  # as large, and not the same
    assert store_original(counted(other, opened), one_pass).stored
    assert len(opened) == 4


def test_a_member_of_an_archive_is_not_as_large_as_the_archive_says(one_pass: ObjectStore, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "logs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.log", CONN)
        archive.writestr("b.log", CONN.replace(b"tcp", b"udp"))
    _, originals, _ = ingest([str(tmp_path / "logs.zip")], one_pass)
    assert [original.stored for original in originals] == [True, True]


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (gzip.compress(CONN)[:-9], None, "ends early"),
        (b"nothing that is known\n", None, "not of a known format"),
        (CONN, len(CONN) - 1, f"has {len(CONN)} bytes, expected {len(CONN) - 1}"),
    ],
    ids=["cut off", "unknown", "still written to"],
)
def test_nothing_is_left_of_a_large_file_that_is_not_sound(
    content: bytes, size: int | None, message: str, one_pass: ObjectStore
) -> None:
    source = dataclasses.replace(counted(content, []), bytes=len(content) if size is None else size)
    with pytest.raises(DataError, match=message):
        store_original(source, one_pass)
    assert files_of(one_pass) == []


def test_an_original_has_no_trace_of_the_run(raw: ObjectStore) -> None:
    first = store_original(source_of(SAMPLES / "kdd99.data"), raw)
    second = store_original(source_of(SAMPLES / "kdd99.data"), raw)
    assert dataclasses.replace(first, stored=False) == second
