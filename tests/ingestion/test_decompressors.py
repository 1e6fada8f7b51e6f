"""Decompressors of one interface; what they do inside a file is in test_compression.py."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.ingestion.decompressors import Decompressor, Inflate, Unsupported, Unzip, Zstd


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.log", content)
    return file.getvalue()


KINDS: dict[str, tuple[Callable[[], Decompressor], Callable[[bytes], bytes]]] = {
    "gzip": (Inflate, gzip.compress),
    "zstd": (Zstd, zstandard.compress),
    "zip": (Unzip, zipped),
}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=5000), st.integers(1, 999), st.integers(1, 999))
def test_content_comes_in_pieces_that_are_bounded(kind: str, content: bytes, given_bytes: int, size: int) -> None:
    decompressor, packed = KINDS[kind][0](), KINDS[kind][1](content) + b"rest"
    found, pieces, unread = b"", 0, packed
    while not decompressor.eof:
        piece, unread = (unread[:given_bytes], unread[given_bytes:]) if decompressor.needs_input else (b"", unread)
        assert piece or not decompressor.needs_input
        part = decompressor.decompress(piece, size)
        assert len(part) <= size
        found, pieces = found + part, pieces + 1
    assert found == content
    assert (decompressor.unused_data + unread).endswith(b"rest")


def test_damage_is_one_kind_of_error() -> None:
    packed = bytearray(zstandard.compress(bytes(range(256)) * 50))
    packed[4:9] = b"\xff" * 5
    with pytest.raises(zlib.error):
        Zstd().decompress(bytes(packed), 1 << 20)


def test_what_is_no_single_file_is_told_at_its_header() -> None:
    packed = bytearray(zipped(b"x"))
    packed[6] |= 1
    with pytest.raises(Unsupported, match="encrypted"):
        Unzip().decompress(bytes(packed), 10)
