"""A zip archive of several files as a folder: each of its files is a source of its own.

An archive is told by its name, ``.zip``, so that no other file is opened to list a folder. One that holds a single file
is a compressed file like any other (`compression`), unless that is compressed once more. Names inside are only shown:
nothing is ever written under them.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.compression import PIECE_BYTES, check_growth
from cybersec_mlops.ingestion.decompressors import Unsupported, Unzip
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.rejected import printable

DIRECTORY_BYTES: Final = 1 << 24
"""An archive whose directory is larger is not opened: it would be held in memory."""
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_COMMENT_BYTES: Final = 65_535
_NAME_LIMIT: Final = 1_000
_COMPRESSED: Final = (".gz", ".zst", ".bz2", ".xz", ".lzma")
_BY_HAND: Final = "unpack it and give the folder: unzip -d FOLDER FILE"


def is_archive(name: str) -> bool:
    """Say whether a file of this name may be an archive of several files.

    >>> is_archive("monday.ZIP"), is_archive("conn.log.gz")
    (True, False)
    """
    return name.lower().endswith(".zip")


def files_of(file: BinaryIO) -> list[zipfile.ZipInfo] | None:
    """Return the files of an archive of several, by name; None where it is none, damaged, or holds one plain file."""
    try:
        if _directory_bytes(file) > DIRECTORY_BYTES:
            return None
        with zipfile.ZipFile(file) as archive:
            everything = archive.infolist()
        size = file.seek(0, io.SEEK_END)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if not all(0 <= one.header_offset < size for one in everything):
        return None
    files = [one for one in everything if not (one.filename.endswith("/") or one.filename.startswith("__MACOSX/"))]
    several = len(files) > 1 or any(one.filename.lower().endswith(_COMPRESSED) for one in files)
    return sorted(files, key=lambda one: one.filename) if several else None


def _directory_bytes(file: BinaryIO) -> int:
    """Return how long the directory is said to be; 4 GiB where that stands elsewhere."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_BYTES - _COMMENT_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END)
    return int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0


def member_name(info: zipfile.ZipInfo) -> str:
    r"""Return the name of a file in an archive, safe to show.

    >>> member_name(zipfile.ZipInfo("../a\x1b[2J.log"))
    '../a\\x1b[2J.log'
    """
    return printable(info.filename, _NAME_LIMIT)


def is_hidden(info: zipfile.ZipInfo) -> bool:
    """Say whether a file or a folder that it is in is hidden, as in a folder; ``..`` is none."""
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(info.filename).parts)


def open_member(file: BinaryIO, info: zipfile.ZipInfo, source: str) -> BinaryIO:
    """Return the content of a file in an archive as a stream, which closes the archive with it.

    While it is read: `DataError` where it is damaged, encrypted, compressed by another method than deflate, or a bomb.
    """
    file.seek(info.header_offset)
    return io.BufferedReader(_Member(file, info, source), 1 << 20)


class _Member(io.RawIOBase):
    """The content of a file in an archive."""

    def __init__(self, file: BinaryIO, info: zipfile.ZipInfo, source: str) -> None:
        super().__init__()
        self._file, self._info, self._source, self._limits = file, info, source, current()
        self._unzip, self._bytes = Unzip(), 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        super().close()
        self._file.close()

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            found = self._next(len(buffer))
        except Unsupported as error:
            raise DataError(f"is in {error}, expected one deflated", source=self._source, hint=_BY_HAND) from error
        except (zlib.error, EOFError, OSError) as error:
            raise DataError(
                f"is damaged in its zip archive ({error}): could be read to byte {self._bytes:,} of its content",
                source=self._source,
                hint="copy or download the archive again; it was cut off or damaged on the way",
            ) from error
        self._bytes += len(found)
        check_growth(self._bytes, self._info.compress_size, self._source, self._limits)
        buffer[: len(found)] = found
        return len(found)

    def _next(self, size: int) -> bytes:
        while not self._unzip.eof:
            data = self._file.read(PIECE_BYTES) if self._unzip.needs_input else b""
            if self._unzip.needs_input and not data:
                raise EOFError("the archive ends early")
            if found := self._unzip.decompress(data, size):
                return found
        if self._unzip.checksum != self._info.CRC:
            raise zlib.error("the checksum is another")
        return b""
