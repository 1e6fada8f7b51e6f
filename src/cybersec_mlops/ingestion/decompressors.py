"""Decompressors of one interface, that of the standard library's bz2 and lzma: bounded output for any input.

gzip is RFC 1952, zstd RFC 8878, zip PKWARE's APPNOTE 6.3 as far as one member, deflated or stored, is concerned. The
name of a zip's member is never used.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Protocol

from cybersec_mlops.ingestion.limits import current

if TYPE_CHECKING:
    from collections.abc import Callable

ZSTD_PIECE_BYTES: Final = 1024
"""Input of zstd that is decompressed at once: at most 256 blocks of 128 KiB come of it, which is 32 MiB."""

_HEADER_BYTES: Final = 30
_MEMBER, _DIRECTORY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_DESCRIPTOR_BYTES: Final = 24


class Unsupported(Exception):  # noqa: N818 - it says what the file is
    """A sound file of a kind that cannot be read as one stream."""


class Decompressor(Protocol):
    """What turns stored bytes into content."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the end."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further input."""

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes:
        """Take all of `data`, give at most `max_length` bytes of content."""


class Inflate:
    """zlib's decompressor with the interface of those of bz2 and lzma."""

    def __init__(self, wbits: int = 31) -> None:
        self._object = zlib.decompressobj(wbits=wbits)
        self._waiting = b""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the end."""
        return self._object.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further input."""
        return not self._waiting

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Take all of `data`, give at most `max_length` bytes of content."""
        found = self._object.decompress(self._waiting + data, max_length)
        self._waiting = self._object.unconsumed_tail
        return found


class Zstd:
    """zstandard's decompressor; damage is a `zlib.error`."""

    def __init__(self) -> None:
        import zstandard

        self._object = zstandard.ZstdDecompressor(max_window_size=current().max_decoder_bytes // 2).decompressobj()
        self._error = zstandard.ZstdError
        self._input, self._position = b"", 0
        self._found = memoryview(b"")

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""
        return self._object.eof and not self._found

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the end."""
        return self._object.unused_data + self._input[self._position :]

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further input."""
        return not self._found and self._position >= len(self._input)

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Take all of `data`, give at most `max_length` bytes of content."""
        if data:
            self._input, self._position = self._input[self._position :] + data, 0
        while not self._found and self._position < len(self._input) and not self._object.eof:
            piece = self._input[self._position : self._position + ZSTD_PIECE_BYTES]
            self._position += len(piece)
            try:
                self._found = memoryview(self._object.decompress(piece))
            except self._error as error:
                raise zlib.error(str(error)) from error
        found, self._found = bytes(self._found[:max_length]), self._found[max_length:]
        return found


class Unzip:
    """The only member of a zip archive; what follows it is checked by `end`."""

    def __init__(self) -> None:
        self._header = b""
        self._member: Decompressor | None = None
        self._crc = 0

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""
        return self._member is not None and self._member.eof

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the member."""
        return b"" if self._member is None else self._member.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further input."""
        return self._member is None or self._member.needs_input

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Take all of `data`, give at most `max_length` bytes of content."""
        if self._member is None:
            self._header += data
            if (member := _member_of(self._header)) is None:
                return b""
            self._member, data = member
        found = self._member.decompress(data, max_length)
        self._crc = zlib.crc32(found, self._crc)
        return found

    def end(self, data: bytes, more: Callable[[], bytes]) -> None:
        """Check what follows the member: the directory, with one entry and the checksum.

        Parameters
        ----------
        data : bytes
            What was read of it.
        more : callable
            Gives more of the file, nothing at its end.

        Raises
        ------
        Unsupported
            There are more members.
        EOFError
            The file ends early.
        zlib.error
            The checksum is another, or something follows the archive.
        """
        while len(data) < 1 << 20 and (piece := more()):
            data += piece
        at = min((place for mark in (_MEMBER, _DIRECTORY) if (place := data.find(mark)) >= 0), default=len(data))
        if at > _DESCRIPTOR_BYTES or len(data) < at + 46:
            raise EOFError("the directory is missing")
        end = data.find(_END, at)
        if data.startswith(_MEMBER, at) or (end >= 0 and int.from_bytes(data[end + 10 : end + 12], "little") > 1):
            raise Unsupported("a zip archive of several files")
        if end < 0 or len(data) < end + 22:
            raise EOFError("the directory is cut off")
        comment = int.from_bytes(data[end + 20 : end + 22], "little")
        if len(data) > end + 22 + comment or more():
            raise zlib.error("bytes follow the archive")
        if int.from_bytes(data[at + 16 : at + 20], "little") != self._crc:
            raise zlib.error("the checksum is another")


def _member_of(header: bytes) -> tuple[Decompressor, bytes] | None:
    """Return what decompresses a member, and the first of its data; None where the header is not whole."""
    if len(header) < _HEADER_BYTES:
        return None
    flags, method = (int.from_bytes(header[at : at + 2], "little") for at in (6, 8))
    size = int.from_bytes(header[18:22], "little")
    start = _HEADER_BYTES + sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    if flags & 1:
        raise Unsupported("an encrypted zip archive")
    if method not in (0, 8) or (method == 0 and (flags & 8 or size == 0xFFFFFFFF)):
        raise Unsupported("a zip archive of another method than deflate")
    if len(header) < start:
        return None
    return (Inflate(wbits=-15) if method == 8 else _Stored(size)), header[start:]


class _Stored:
    """So many bytes as they are."""

    def __init__(self, size: int) -> None:
        self._left, self._waiting = size, b""

    @property
    def eof(self) -> bool:
        return self._left == 0

    @property
    def unused_data(self) -> bytes:
        return self._waiting if self.eof else b""

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        data = self._waiting + data
        size = min(max_length, self._left, len(data))
        self._left -= size
        self._waiting = data[size:]
        return data[:size]
