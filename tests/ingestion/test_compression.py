"""Compressed files as streams."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.compression import PIECE_BYTES, Decompressed, compression_of, decompress
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.storage.streams import HashedReader, Pieces

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": partial(lzma.compress, format=lzma.FORMAT_ALONE),
    "zstd": zstandard.compress,
}
STREAMS = ["gzip", "bzip2", "xz", "lzma", "zstd"]
TEXT = b"".join(b"line %d of a log\n" % number for number in range(20_000))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def zipped(*contents: bytes, method: int = zipfile.ZIP_DEFLATED, seekable: bool = True) -> bytes:
    file = io.BytesIO()
    if not seekable:
        file.seekable = lambda: False  # type: ignore[method-assign]
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"../../{number}.log", content)
    return file.getvalue()


def archived(*members: tuple[str, bytes], deflated_folders: bool = False, seekable: bool = True) -> bytes:
    """Give a zip of these members; a name with a slash at its end is a folder's."""
    file = io.BytesIO()
    if not seekable:
        file.seekable = lambda: False  # type: ignore[method-assign]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            method = zipfile.ZIP_STORED if name.endswith("/") and not deflated_folders else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def read(data: bytes, limits: Limits | None = None) -> bytes:
    with applied(limits):
        return decompress(io.BytesIO(data), source="my.log.gz").read()


def test_the_kind_is_told_from_the_first_bytes(kind: str) -> None:
    packed = KINDS[kind](TEXT)
    assert compression_of(packed[:8]) == kind
    assert read(packed) == TEXT


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(KINDS)), st.integers(1, 64))
def test_any_content_comes_back_in_pieces_of_any_size(content: bytes, kind: str, size: int) -> None:
    if kind == "none" and compression_of(content[:8]) != "none":
        return
    stream = decompress(io.BytesIO(KINDS[kind](content)), source="x")
    assert b"".join(iter(lambda: stream.read(size), b"")) == content


def test_several_members_are_one_content(kind: str) -> None:
    assert read(KINDS[kind](b"a\n") + KINDS[kind](TEXT) + KINDS[kind](b"")) == b"a\n" + TEXT


def test_zeros_behind_the_last_member_are_padding() -> None:
    assert read(gzip.compress(TEXT) + bytes(100_000)) == TEXT


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_that_ends_early_says_how_far_it_could_be_read(kind: str) -> None:
    packed = KINDS[kind](TEXT)
    for end in {len(packed) - 1, len(packed) // 2, 12}:
        with pytest.raises(DataError, match=f"the {kind} stream ends early") as caught:
            read(packed[:end])
        assert caught.value.source == "my.log.gz"
        assert caught.value.line is not None
        assert f"at {end:,} bytes stored" in caught.value.message
        assert caught.value.hint


def test_the_line_reached_is_that_of_the_content() -> None:
    compressor = zlib.compressobj(wbits=31)
    packed = compressor.compress(b"one\ntwo\nthr") + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(DataError, match=r"^my\.log\.gz:3: ") as caught:
        read(packed)
    assert "byte 11 of its content" in caught.value.message


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from(["gzip", "bzip2", "xz", "zip"]))
def test_a_damaged_stream_is_an_error_or_the_content(position: int, change: int, kind: str) -> None:
    packed = bytearray({**KINDS, "zip": zipped}[kind](TEXT[:4000]))
    packed[position % len(packed)] ^= change
    try:
        found = read(bytes(packed))
    except DataError:
        return
    assert found in (
        TEXT[:4000],
        bytes(packed),
    )  # the header has bytes that do not matter; no magic means no compression


def test_bytes_behind_the_stream_are_not_lost_silently() -> None:
    with pytest.raises(DataError, match="bytes follow the gzip stream"):
        read(gzip.compress(TEXT) + b"more")


def test_a_bomb_is_stopped() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    with pytest.raises(DataError, match="decompression bomb"):
        read(bomb, Limits(max_ratio=100, ratio_free_bytes=1_000_000))
    assert len(read(bomb)) == 20_000_000
    assert len(read(bomb, Limits(max_ratio=2000, ratio_free_bytes=0))) == 20_000_000


def test_a_file_that_grows_slowly_is_stopped_as_well() -> None:
    with pytest.raises(DataError, match="decompression bomb") as caught:
        read(gzip.compress(TEXT), Limits(max_decompressed_bytes=len(TEXT) - 1))
    assert "max_decompressed_bytes" in caught.value.hint
    assert read(gzip.compress(TEXT), Limits(max_decompressed_bytes=len(TEXT))) == TEXT


def test_many_members_are_read_in_little_pieces_since_what_follows_each_is_copied(kind: str) -> None:
    sizes: list[int] = []

    class Recording(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(len(found := super().read(size)))
            return found

    stream = decompress(Recording(KINDS[kind](b"") * 5_000 + KINDS[kind](TEXT)), source="x")
    assert stream.read() == TEXT
    assert kind == "none" or max(sizes) <= PIECE_BYTES <= 1 << 16


def test_zstd_frames_without_content_are_passed_over() -> None:
    skippable = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
    packed = skippable + zstandard.compress(b"a\n") + skippable * 2 + zstandard.compress(TEXT) + skippable
    assert compression_of(packed[:8]) == "zstd"
    assert read(packed) == b"a\n" + TEXT


def test_a_large_plain_file_is_no_bomb() -> None:
    assert len(read(bytes(2_000_000), Limits(max_ratio=1, ratio_free_bytes=10))) == 2_000_000


@pytest.mark.parametrize(
    ("magic", "name", "by_hand"),
    [
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -d"),
        (b"\x1f\x9d", "compress", "uncompress"),
    ],
)
def test_what_is_not_supported_is_named_with_the_way_out(magic: bytes, name: str, by_hand: str) -> None:
    with pytest.raises(DataError, match=f"compressed with {name}") as caught:
        read(magic + b"rest")
    assert by_hand in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 3, 100_000])
def test_a_stream_that_cannot_be_wound_back_is_read_whole(kind: str, size: int) -> None:
    content = b"ab\n" * size
    packed = KINDS[kind](content)
    pieces = [packed[start : start + 5000] for start in range(0, len(packed), 5000)]
    with HashedReader(pieces) as stream:
        assert decompress(stream, source="x").read() == content  # type: ignore[arg-type]


def test_the_kind_is_told_however_little_comes_at_once(kind: str) -> None:
    packed = KINDS[kind](TEXT)
    content = Decompressed(Pieces(packed[at : at + 3] for at in range(0, len(packed), 3)), source="x")
    assert (content.compression, b"".join(content.pieces())) == (kind, TEXT)


def test_what_passes_is_counted() -> None:
    for content, lines in ((b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (TEXT, 20_000)):
        packed = gzip.compress(content)
        counted = Decompressed(io.BytesIO(packed), source="x")
        io.BufferedReader(counted, 7).read()
        assert (counted.lines, counted.bytes, counted.stored_bytes) == (lines, len(content), len(packed))
        assert counted.compression == "gzip"


def test_closing_it_closes_the_file() -> None:
    file = io.BytesIO(gzip.compress(TEXT))
    decompress(file, source="x").close()
    assert file.closed


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]), st.integers(1, 64))
def test_a_zip_of_one_file_is_its_content(content: bytes, method: int, size: int) -> None:
    packed = zipped(content, method=method)
    assert compression_of(packed[:8]) == "zip"
    stream = decompress(io.BytesIO(packed), source="x")
    assert b"".join(iter(lambda: stream.read(size), b"")) == content
    assert stream.read() == b""


@pytest.mark.parametrize("seekable", [True, False])
def test_a_zip_may_say_sizes_behind_the_content(seekable: bool) -> None:
    assert read(zipped(TEXT, seekable=seekable)) == TEXT


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_that_ends_early_is_an_error(method: int) -> None:
    packed = zipped(TEXT, method=method)
    for end in (12, 35, len(packed) // 2, len(packed) - 60, len(packed) - 1):
        with pytest.raises(DataError, match=r"the zip (stream ends early|archive is damaged)"):
            read(packed[:end])


def test_bytes_behind_a_zip_are_not_lost_silently() -> None:
    for more in (b"x", bytes(3 << 20)):
        with pytest.raises(DataError, match="bytes follow the archive"):
            read(zipped(TEXT) + more)


def test_a_zip_with_another_checksum_is_an_error() -> None:
    packed = zipped(TEXT, method=zipfile.ZIP_STORED).replace(b"line 77 ", b"line 78 ")
    with pytest.raises(DataError, match="the checksum is another"):
        read(packed)


def test_a_zip_that_is_not_one_plain_file_is_named_with_the_way_out() -> None:
    encrypted = bytearray(zipped(TEXT))
    encrypted[6] |= 1
    for packed, what in (
        (zipped(TEXT, b"more"), "several files"),
        (zipped(b"", b"more"), "several files"),
        (bytes(encrypted), "encrypted"),
        (zipped(TEXT, method=zipfile.ZIP_BZIP2), "another method"),
    ):
        with pytest.raises(DataError, match=what) as caught:
            read(packed)
        assert "unzip" in caught.value.hint


FOLDERS = [("logs/", b""), ("logs/2026/", b"")]
OF_MACOS = [("__MACOSX/", b""), ("__MACOSX/logs/._conn.log", b"Mac OS X" * 20)]


@pytest.mark.parametrize("deflated_folders", [False, True])
@pytest.mark.parametrize("seekable", [False, True])
@pytest.mark.parametrize("content", [b"", TEXT])
def test_folders_and_what_macos_adds_are_no_files_of_a_zip(
    content: bytes, seekable: bool, deflated_folders: bool
) -> None:
    members = [*FOLDERS, ("logs/2026/conn.log", content), ("rest/", b""), *OF_MACOS]
    packed = archived(*members, deflated_folders=deflated_folders, seekable=seekable)
    for size in (1 << 20, 7):
        stream = decompress(io.BufferedReader(Slow(packed, size)), source="x")
        assert stream.read() == content


class Slow(io.BytesIO):
    """A file that gives a few bytes at once."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        return super().readinto(memoryview(buffer)[: self._most])


def test_many_folders_before_the_file_cost_no_more_than_their_bytes() -> None:
    packed = archived(*[(f"{number}/", b"") for number in range(60_000)], ("conn.log", TEXT))
    with pytest.raises(DataError, match="several files"):  # a directory of more than 1 MiB is not looked through
        read(packed)
    packed = archived(*[(f"{number}/", b"") for number in range(10_000)], ("conn.log", TEXT))
    assert read(packed) == TEXT


def test_a_file_beside_one_in_a_folder_is_another_one() -> None:
    for members in ([*FOLDERS, ("logs/a", TEXT), ("b", b"")], [("a", b""), ("logs/", b""), ("logs/b", TEXT)]):
        with pytest.raises(DataError, match="several files"):
            read(archived(*members))


def test_a_zip_of_folders_alone_is_none() -> None:
    for packed in (archived(*FOLDERS), archived(*FOLDERS, deflated_folders=True, seekable=False)):
        with pytest.raises(DataError, match="a zip archive of folders alone"):
            read(packed)


def test_a_folder_cannot_hide_content() -> None:
    with pytest.raises(DataError, match="a folder with content"):
        read(archived(("logs/", TEXT), ("conn.log", TEXT)))
    with pytest.raises(DataError, match="the zip stream ends early"):
        read(archived(*FOLDERS, ("conn.log", TEXT))[:40])


@pytest.mark.parametrize("pack", [zstandard.compress, zipped, KINDS["lzma"]])
def test_a_bomb_of_any_kind_is_stopped_in_bounded_memory(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(50_000_000))
    with applied(Limits(max_ratio=100, ratio_free_bytes=1_000_000)):
        counted = Decompressed(io.BytesIO(bomb), source="x")
    with pytest.raises(DataError, match="decompression bomb"):
        io.BufferedReader(counted, 1 << 16).read()
    assert counted.bytes < 8_000_000


def test_a_window_that_needs_too_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(bytes(300 << 20)) + compressor.flush()
    with pytest.raises(DataError, match="the zstd stream is damaged"):
        read(packed)


def test_an_lzma_dictionary_that_needs_too_much_memory_is_refused() -> None:
    packed = bytearray(KINDS["lzma"](TEXT))
    packed[1:5] = (1 << 30).to_bytes(4, "little")
    assert compression_of(bytes(packed[:8])) == "lzma"
    with pytest.raises(DataError, match="Memory usage limit"):
        read(bytes(packed))
