"""Compressed files as streams of their content, recognised by their first bytes, in bounded memory.

A stream that ends early, is damaged, or grows beyond all proportion (a decompression bomb) is a `DataError` that says
how far it could be read. A further kind of compression is one entry in `_KINDS`.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from cybersec_mlops.errors import DataError

CHUNK_BYTES: Final = 1 << 20
MAGIC_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much."""

    ratio: float = 200.0
    """Decompressed bytes per compressed byte. Logs reach 10 to 40; deflate cannot exceed 1,032."""
    free_bytes: int = 256 << 20
    """Decompressed bytes up to which the ratio is not looked at."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Inflate:
    """zlib's decompressor with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        found = self._object.decompress(self._waiting + data, max_length)
        self._waiting = self._object.unconsumed_tail
        return found


def _bz2() -> _Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(memlimit=256 << 20)


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    magic: bytes
    decompressor: Callable[[], _Decompressor] | None
    by_hand: str = ""


_KINDS: Final = (
    _Kind("gzip", b"\x1f\x8b", _Inflate),
    _Kind("bzip2", b"BZh", _bz2),
    _Kind("xz", b"\xfd7zXZ\x00", _xz),
    _Kind("zstd", b"\x28\xb5\x2f\xfd", None, "zstd -d FILE"),
    _Kind("zip", b"PK\x03\x04", None, "unzip FILE"),
    _Kind("lz4", b"\x04\x22\x4d\x18", None, "lz4 -d FILE"),
    _Kind("compress", b"\x1f\x9d", None, "uncompress FILE"),
)
NONE: Final = "none"


def compression_of(magic: bytes) -> str:
    r"""Return the kind of compression that a file of these first bytes has, "none" where it has none.

    >>> compression_of(b"\x1f\x8b\x08\x00"), compression_of(b"#separator")
    ('gzip', 'none')
    """
    return next((kind.name for kind in _KINDS if magic.startswith(kind.magic)), NONE)


class Decompressed(io.RawIOBase):
    """The content of a file that may be compressed, counted as it passes.

    Parameters
    ----------
    stream : BinaryIO
        The file as it is stored, at its beginning.
    source : str
        Its name, for errors.
    limits : Limits
        When it is taken for a decompression bomb.

    Raises
    ------
    DataError
        A kind of compression that is not supported; while reading: the stream ends early, is damaged, or is a bomb.
    """

    def __init__(self, stream: BinaryIO, *, source: str, limits: Limits | None = None) -> None:
        super().__init__()
        self._stream, self._source, self._limits = stream, source, limits or Limits()
        self._data = stream.read(CHUNK_BYTES)
        self.compression = compression_of(self._data[:MAGIC_BYTES])
        self.stored_bytes = len(self._data)
        self.bytes = 0
        self.newlines = 0
        self.last = b""
        self._kind = next((kind for kind in _KINDS if kind.name == self.compression), None)
        if self._kind is not None and self._kind.decompressor is None:
            raise DataError(
                f"is compressed with {self.compression}, which is not supported yet",
                source=source,
                hint=f"decompress it first: {self._kind.by_hand}",
            )
        self._member = self._kind.decompressor() if self._kind and self._kind.decompressor else None
        self._began = True

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
        self.bytes += len(found)
        self.newlines += found.count(b"\n")
        self.last = found[-1:] or self.last
        if self.compression != NONE and self.bytes > max(
            self._limits.free_bytes, self._limits.ratio * self.stored_bytes
        ):
            raise DataError(
                f"grows to more than {self.bytes:,} bytes from {self.stored_bytes:,}: taken for a decompression bomb",
                source=self._source,
                hint="if it is sound, decompress it yourself and give the result",
            )
        return len(found)

    def _more(self) -> None:
        self._data = self._stream.read(CHUNK_BYTES)
        self.stored_bytes += len(self._data)

    def _next(self, size: int) -> bytes:
        if self._member is None:
            found, self._data = self._data[:size], self._data[size:]
            if not self._data:
                self._more()
            return found
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
            except (zlib.error, OSError, EOFError, _lzma_error()) as error:
                self._fail(f"the {self.compression} stream is damaged ({error})")

    def _start_member(self) -> bool:
        """Begin the next of several members; zeros behind the last are padding."""
        assert self._member is not None
        assert self._kind is not None
        assert self._kind.decompressor is not None
        self._data = self._member.unused_data + self._data
        while not self._data.strip(b"\0"):
            self._more()
            if not self._data:
                return False
        if not self._data.startswith(self._kind.magic[: len(self._data)]):
            self._fail(f"bytes follow the {self.compression} stream that are no part of it")
        self._member = self._kind.decompressor()
        return True

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


def decompress(stream: BinaryIO, *, source: str, limits: Limits | None = None) -> BinaryIO:
    r"""Return the content of a file that may be compressed, as a stream.

    >>> import gzip
    >>> decompress(io.BytesIO(gzip.compress(b"a\n") + gzip.compress(b"b\n")), source="x").read()
    b'a\nb\n'
    """
    return io.BufferedReader(Decompressed(stream, source=source, limits=limits), CHUNK_BYTES)
