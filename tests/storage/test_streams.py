from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services import S3

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.streams import (
    CheckedStream,
    HashedReader,
    Pieces,
    file_chunks,
    read_ahead,
    sha256_of,
    unbuffered,
)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_right_stream_passes_unchanged(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    stream = CheckedStream(chunks, sha256_of(chunks), "x")
    assert list(stream) == chunks
    assert (stream.bytes, stream.error) == (len(data), None)
    assert sha256_of(chunks) == hashlib.sha256(data).hexdigest()


def test_a_wrong_stream_fails_at_its_end() -> None:
    stream = CheckedStream([b"a", b"b"], "0" * 64, "conn.log")
    passed: list[bytes] = []
    with pytest.raises(DataError, match=r"conn\.log: has SHA-256 [0-9a-f]{64}, expected 0{64}"):
        passed.extend(stream)
    assert isinstance(stream.error, DataError)
    assert stream.bytes == 2


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_file_in_pieces(tmp_path: Path, size: int) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    chunks = list(file_chunks(tmp_path / "x", size))
    assert b"".join(chunks) == b"0123456789"
    assert all(len(chunk) == size for chunk in chunks[:-1])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(file_chunks(tmp_path, 1))


def test_reading_ahead_keeps_order_and_content() -> None:
    chunks = [bytes([number]) * 3 for number in range(50)]
    with read_ahead(iter(chunks)) as pieces:
        assert list(pieces) == chunks


def test_what_the_stream_raises_its_reader_gets() -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise DataError("torn")

    with read_ahead(failing()) as pieces:
        assert next(pieces) == b"a"
        with pytest.raises(DataError, match="torn"):
            next(pieces)


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with read_ahead(b"x" for _ in range(10_000)) as pieces:
        next(pieces)
    assert threading.active_count() == before


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_store_can_be_written_from_a_store(s3: S3) -> None:
    source, target = (ObjectStore.from_url(s3.url(name)) for name in ("source", "target"))
    source.ensure()
    target.ensure()
    made = source.put_bytes("a", b"x" * 20_000_000)
    copied = target.put_chunks("b", source.chunks("a"), sha256=made.sha256)
    assert target.holds(copied)


def test_a_file_of_a_stream_reads_and_hashes_all_of_it() -> None:
    with HashedReader([b"ab", b"", b"cde"]) as file:
        assert (file.read(1), file.read()) == (b"a", b"bcde")
        assert file.sha256() == sha256_of([b"abcde"])
        assert file.is_whole


def test_the_hash_covers_what_was_not_read() -> None:
    with HashedReader(bytes([number]) * 9 for number in range(50)) as file:
        assert file.read(3) == b"\0\0\0"
        assert file.sha256() == sha256_of(bytes([number]) * 9 for number in range(50))


def test_a_stream_that_fails_is_not_whole() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"ab"
        raise OSError("gone")

    with HashedReader(chunks()) as file:
        with pytest.raises(OSError, match="gone"):
            file.read()
        file.sha256()
        assert not file.is_whole


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(0, 12), max_size=9))
def test_pieces_read_as_a_file_do(pieces: list[bytes], sizes: list[int]) -> None:
    data, raw = b"".join(pieces), Pieces(iter(pieces))
    found = b""
    for size in sizes:
        piece = raw.read(size)
        assert len(piece) <= size
        assert piece or size == 0 or found == data
        found += piece
    buffer = bytearray(3)
    found += buffer[: raw.readinto(buffer)]
    assert found + raw.read() == data
    assert raw.read(1) == b""


def test_a_piece_is_handed_on_as_it_is() -> None:
    first, second = b"a" * 9, b"b" * 9
    stream = io.BufferedReader(Pieces(iter([first, second])))
    assert stream.read(1) == b"a"
    buffered, take = unbuffered(stream)
    assert buffered == b"a" * 8
    assert take(9) is second


@given(st.binary(max_size=30), st.integers(0, 9))
def test_what_is_left_of_any_stream_is_given(data: bytes, before: int) -> None:
    for stream in (io.BytesIO(data), io.BufferedReader(io.BytesIO(data)), io.BufferedReader(Pieces(iter([data])))):
        begun = stream.read(before)
        buffered, take = unbuffered(stream)
        assert begun + buffered + b"".join(iter(partial(take, 4), b"")) == data
