from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.streams import CheckedStream, file_chunks, sha256_of


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
