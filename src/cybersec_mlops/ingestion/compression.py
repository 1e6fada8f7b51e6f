"""Compressed files as streams of their content, recognised by their first bytes, in bounded memory.

A stream that ends early, is damaged, or grows beyond all proportion (a decompression bomb) is a `DataError` that says
how far it could be read. A further kind of compression is one entry in `_KINDS`.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.decompressors import Decompressor, Inflate, Unsupported, Unzip, Zstd
from cybersec_mlops.ingestion.limits import Limits, current
from cybersec_mlops.ingestion.lines import NEWLINE, count_of
from cybersec_mlops.storage.streams import Pieces

CHUNK_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 1 << 14
"""Stored bytes that a decompressor is given at once: what lies behind a member's end is copied, so it is little."""
MAGIC_BYTES: Final = 8


def _bz2() -> Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Decompressor:
    import lzma

    return lzma.LZMADecompressor(memlimit=current().max_decoder_bytes)


def _lzma() -> Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=current().max_decoder_bytes)


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    magic: tuple[bytes, ...]
    decompressor: Callable[[], Decompressor] | None
    by_hand: str = ""


_SKIPPABLE: Final = tuple(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))
"""Frames without content, which pzstd writes: RFC 8878, 3.1.2."""
_KINDS: Final = (
    _Kind("gzip", (b"\x1f\x8b",), Inflate),
    _Kind("bzip2", (b"BZh",), _bz2),
    _Kind("xz", (b"\xfd7zXZ\x00",), _xz),
    _Kind("lzma", (b"\x5d\x00\x00",), _lzma),
    _Kind("zstd", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), Zstd),
    _Kind("zip", (b"PK\x03\x04",), Unzip, "unzip -d FOLDER FILE, and give the folder"),
    _Kind("lz4", (b"\x04\x22\x4d\x18",), None, "lz4 -d FILE"),
    _Kind("compress", (b"\x1f\x9d",), None, "uncompress FILE"),
)
NONE: Final = "none"


def compression_of(magic: bytes) -> str:
    r"""Return the kind of compression that a file of these first bytes has, "none" where it has none.

    >>> compression_of(b"\x1f\x8b\x08\x00"), compression_of(b"#separator")
    ('gzip', 'none')
    """
    return next((kind.name for kind in _KINDS if magic.startswith(kind.magic)), NONE)


def check_growth(size: int, stored: int, source: str, limits: Limits) -> None:
    """Raise `DataError` where `stored` bytes became so many that it must be a decompression bomb."""
    name = ""
    if size > max(limits.ratio_free_bytes, limits.max_ratio * stored):
        name = "max_ratio"
    elif size > limits.max_decompressed_bytes:
        name = "max_decompressed_bytes"
    if name:
        raise DataError(
            f"grows to more than {size:,} bytes from {stored:,}: taken for a decompression bomb",
            source=source,
            hint=f"if it is sound, decompress it yourself and give the result, or set {name} in [limits]",
        )


class Decompressed(io.RawIOBase):
    """The content of a file that may be compressed, counted as it passes.

    Parameters
    ----------
    stream : BinaryIO or Pieces
        The file as it is stored, at its beginning.
    source : str
        Its name, for errors.
    hashed : bool
        Hash the content of a compressed file, see `sha256`.

    Raises
    ------
    DataError
        A kind of compression that is not supported; while reading: the stream ends early, is damaged, or is a bomb.
    """

    def __init__(self, stream: BinaryIO | Pieces, *, source: str, hashed: bool = False) -> None:
        super().__init__()
        self._stream, self._source, self._limits = stream, source, current()
        self._data = stream.read(PIECE_BYTES)
        while len(self._data) < MAGIC_BYTES and (more := stream.read(PIECE_BYTES)):
            self._data += more
        self.compression = compression_of(self._data[:MAGIC_BYTES])
        self.stored_bytes = len(self._data)
        self.bytes = 0
        self.newlines = 0
        self.last = b""
        self._kind = next((kind for kind in _KINDS if kind.name == self.compression), None)
        if self._kind is not None and self._kind.decompressor is None:
            raise self._unsupported(f"is compressed with {self.compression}, which is not supported yet")
        self._member = self._kind.decompressor() if self._kind and self._kind.decompressor else None
        self._ended = False
        self._digest = hashlib.sha256() if hashed and self.compression != NONE else None

    @property
    def sha256(self) -> str | None:
        """The hash of the content so far; None of a file that is not compressed, which has its own."""
        return None if self._digest is None else self._digest.hexdigest()

    @property
    def lines(self) -> int:
        """Lines of the content so far; a last one without newline counts."""
        return self.newlines + (self.bytes > 0 and self.last != b"\n")

    def close(self) -> None:
        """Close the stored file as well."""
        super().close()
        self._stream.close()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer with the next of the content."""
        found = self._next(len(buffer))
        buffer[: len(found)] = found
        self._count(found)
        return len(found)

    def pieces(self) -> Iterator[bytes]:
        """Hand on what is left, piece by piece."""
        while found := self._next(CHUNK_BYTES):
            self._count(found)
            yield found

    def drain(self) -> None:
        """Count what is left: as reading it to its end, without handing it on."""
        for _ in self.pieces():
            pass

    def _count(self, found: bytes) -> None:
        self.bytes += len(found)
        self.newlines += count_of(NEWLINE, found)
        self.last = found[-1:] or self.last
        if self._digest is not None:
            self._digest.update(found)
        if self.compression != NONE:
            check_growth(self.bytes, self.stored_bytes, self._source, self._limits)

    def _more(self) -> None:
        self._data = self._stream.read(CHUNK_BYTES if self._member is None else PIECE_BYTES)
        self.stored_bytes += len(self._data)

    def _next(self, size: int) -> bytes:
        if self._member is None:
            return self._stored(size)
        while True:
            if self._member.eof and not self._start_member():
                return b""
            if self._member.needs_input and not self._data:
                self._more()
                if not self._data:
                    self._fail(f"the {self.compression} stream ends early")
            data, self._data = self._data, b""
            try:
                if found := self._member.decompress(data, size):
                    return found
            except Unsupported as error:
                raise self._unsupported(f"is {error}, expected one file, deflated") from error
            except (zlib.error, OSError, EOFError, _lzma_error()) as error:
                self._fail(f"the {self.compression} stream is damaged ({error})")

    def _stored(self, size: int) -> bytes:
        if not self._data:
            self._more()
        if len(self._data) <= size:  # handed on as it is: a slice would be a copy
            found, self._data = self._data, b""
        else:
            found, self._data = self._data[:size], self._data[size:]
        return found

    def _start_member(self) -> bool:
        """Begin the next of several members; zeros behind the last are padding."""
        assert self._member is not None
        assert self._kind is not None
        assert self._kind.decompressor is not None
        self._data = self._member.unused_data + self._data
        if isinstance(self._member, Unzip):
            self._end_of_zip(self._member)
            return False
        while not self._data.strip(b"\0"):
            self._more()
            if not self._data:
                return False
        if not any(self._data.startswith(magic[: len(self._data)]) for magic in self._kind.magic):
            self._fail(f"bytes follow the {self.compression} stream that are no part of it")
        self._member = self._kind.decompressor()
        return True

    def _end_of_zip(self, member: Unzip) -> None:
        data, self._data = self._data, b""
        if not data and self._ended:
            return
        self._ended = True
        try:
            member.end(data, self._piece)
        except Unsupported as error:
            raise self._unsupported(f"is {error}, expected one file, or a sound one whose name ends in .zip") from error
        except (zlib.error, EOFError) as error:
            self._fail(f"the zip archive is damaged ({error})")

    def _piece(self) -> bytes:
        self._more()
        data, self._data = self._data, b""
        return data

    def _unsupported(self, what: str) -> DataError:
        by_hand = self._kind.by_hand if self._kind else ""
        return DataError(what, source=self._source, hint=f"decompress it first: {by_hand}")

    def _fail(self, what: str) -> None:
        raise DataError(
            f"{what}: could be read to byte {self.bytes:,} of its content, at {self.stored_bytes:,} bytes stored",
            source=self._source,
            line=self.newlines + 1,
            hint="copy or download it again; it was cut off or damaged on the way",
        )


def _lzma_error() -> type[Exception]:
    try:
        from lzma import LZMAError
    except ImportError:  # pragma: no cover - a Python without lzma
        return zlib.error
    return LZMAError


def decompress(stream: BinaryIO, *, source: str) -> BinaryIO:
    r"""Return the content of a file that may be compressed, as a stream.

    >>> import gzip
    >>> decompress(io.BytesIO(gzip.compress(b"a\n") + gzip.compress(b"b\n")), source="x").read()
    b'a\nb\n'
    """
    if stream.seekable():
        start = stream.tell()
        magic = stream.read(MAGIC_BYTES)
        stream.seek(start)
        if compression_of(magic) == NONE:
            return stream
    elif isinstance(stream, io.RawIOBase):
        buffered = io.BufferedReader(stream, CHUNK_BYTES)
        magic = buffered.peek(MAGIC_BYTES)
        if len(magic) >= MAGIC_BYTES and compression_of(magic) == NONE:
            return buffered
        stream = buffered
    return io.BufferedReader(Decompressed(stream, source=source), CHUNK_BYTES)
