"""Decompressors of one interface, that of the standard library's bz2 and lzma: bounded output for any input.

gzip is RFC 1952, zstd RFC 8878, zip PKWARE's APPNOTE 6.3 as far as one file, deflated or stored, is concerned; folders,
and what macOS adds of its own, are no files. The name of a zip's file is used for nothing else.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Protocol

from cybersec_mlops.ingestion.limits import current

if TYPE_CHECKING:
    from collections.abc import Callable

ZSTD_PIECE_BYTES: Final = 1024
"""Input of zstd that is decompressed at once: at most 256 blocks of 128 KiB come of it, which is 32 MiB."""

_HEADER_BYTES, _ENTRY_BYTES, _END_BYTES = 30, 46, 22
_MEMBER, _DIRECTORY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_DESCRIPTOR_BYTES: Final = 24
_FOLDER_BYTES: Final = 2 + _DESCRIPTOR_BYTES
"""Nothing, deflated, and its descriptor: what a folder's header may be followed by."""
_TAIL_BYTES: Final = 1 << 20
"""What is looked at behind the file."""


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
    """The only file of a zip archive; what follows it is checked by `end`."""

    def __init__(self) -> None:
        self._header = b""
        self._member: Decompressor | None = None
        self._crc = 0

    @property
    def eof(self) -> bool:
        """Whether the end of the file was reached."""
        return self._member is not None and self._member.eof

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the file."""
        return b"" if self._member is None else self._member.unused_data

    @property
    def checksum(self) -> int:
        """CRC-32 of the content so far."""
        return self._crc

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further input."""
        return self._member is None or self._member.needs_input

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Take all of `data`, give at most `max_length` bytes of content."""
        if self._member is None:
            self._header = _behind_folders(self._header + data)
            if (member := _member_of(self._header)) is None:
                return b""
            self._member, data = member
        found = self._member.decompress(data, max_length)
        self._crc = zlib.crc32(found, self._crc)
        return found

    def end(self, data: bytes, more: Callable[[], bytes]) -> None:
        """Check what follows the file: the directory, which has no other file, and the checksum.

        Parameters
        ----------
        data : bytes
            What was read of it.
        more : callable
            Gives more of the archive, nothing at its end.

        Raises
        ------
        Unsupported
            There are more files.
        EOFError
            The archive ends early.
        zlib.error
            The checksum is another, or something follows the archive.
        """
        while len(data) < _TAIL_BYTES and (piece := more()):
            data += piece
        at = min((place for mark in (_MEMBER, _DIRECTORY) if (place := data.find(mark)) >= 0), default=len(data))
        if at > _DESCRIPTOR_BYTES or len(data) < at + _ENTRY_BYTES:
            raise EOFError("the directory is missing")
        checksums, end = _files(data, data.find(_DIRECTORY, at))
        if len(checksums) > 1 or (end < 0 and (data.startswith(_MEMBER, at) or len(data) >= _TAIL_BYTES)):
            raise Unsupported("a zip archive of several files")
        if end < 0 or len(data) < end + _END_BYTES:
            raise EOFError("the directory is cut off")
        comment = int.from_bytes(data[end + 20 : end + 22], "little")
        if len(data) > end + _END_BYTES + comment or more():
            raise zlib.error("bytes follow the archive")
        if checksums != [self._crc]:
            raise zlib.error("the checksum is another")


def _size(data: bytes, *places: int) -> int:
    """Return the sum of some lengths of two bytes."""
    return sum(int.from_bytes(data[at : at + 2], "little") for at in places)


def _behind_folders(header: bytes) -> bytes:
    """Return an archive's beginning without the folders that stand before its file, as far as it is there."""
    at = 0
    while len(header) >= at + _HEADER_BYTES:
        named = at + _HEADER_BYTES + _size(header, at + 26)
        if len(header) < named or header[named - 1 : named] != b"/":
            break
        start = named + _size(header, at + 28)
        following = header[start : start + _FOLDER_BYTES + len(_MEMBER)]
        if _DIRECTORY in following:
            raise Unsupported("a zip archive of folders alone")
        if (place := following.find(_MEMBER)) < 0:
            if len(following) == _FOLDER_BYTES + len(_MEMBER):
                raise zlib.error("a folder with content")
            break
        at = start + place
    return header[at:]


def _files(data: bytes, at: int) -> tuple[list[int], int]:
    """Return the checksums of the files in the directory at a place, and where its end is told; -1 where it is not."""
    checksums = []
    while at >= 0 and data.startswith(_DIRECTORY, at) and len(data) >= at + _ENTRY_BYTES:
        name = data[at + _ENTRY_BYTES : at + _ENTRY_BYTES + _size(data, at + 28)]
        if not (name.endswith(b"/") or name.startswith(b"__MACOSX/")):
            checksums.append(int.from_bytes(data[at + 16 : at + 20], "little"))
        at += _ENTRY_BYTES + _size(data, at + 28, at + 30, at + 32)
    return checksums, data.find(_END, at) if at >= 0 else -1


def _member_of(header: bytes) -> tuple[Decompressor, bytes] | None:
    """Return what decompresses a file, and the first of its data; None where the header is not whole."""
    if len(header) < _HEADER_BYTES:
        return None
    flags, method = _size(header, 6), _size(header, 8)
    size = int.from_bytes(header[18:22], "little")
    named = _HEADER_BYTES + _size(header, 26)
    start = named + _size(header, 28)
    if flags & 1:
        raise Unsupported("an encrypted zip archive")
    if method not in (0, 8) or (method == 0 and (flags & 8 or size == 0xFFFFFFFF)):
        raise Unsupported("a zip archive of another method than deflate")
    if len(header) < start or header[named - 1 : named] == b"/":
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
