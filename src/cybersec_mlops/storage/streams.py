"""Bytes that pass by: read from a file, counted, hashed, and stopped at the end when the hash is wrong."""

from __future__ import annotations

import contextlib
import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from cybersec_mlops.errors import DataError

CHANGED_HINT: Final = "it changed while it was read; run it again when nothing writes to it"


def file_chunks(path: Path, size: int) -> Iterator[bytes]:
    """Read a file in pieces of `size` bytes.

    Raises
    ------
    DataError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(size):
                yield chunk
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", source=str(path)) from error


def sha256_of(chunks: Iterable[bytes]) -> str:
    """Return the hash of a stream, in lower-case hexadecimal.

    >>> sha256_of([b"hel", b"lo"]) == sha256_of([b"hello"])
    True
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


class CheckedStream:
    """A stream that counts and hashes what passes, and fails at its end when the hash is not the expected one.

    Parameters
    ----------
    chunks : iterable of bytes
        The stream.
    sha256 : str
        What it must hash to.
    source : str
        Where it comes from, for the message.
    """

    def __init__(self, chunks: Iterable[bytes], sha256: str, source: str) -> None:
        self.bytes = 0
        self.error: Exception | None = None
        """What the stream itself raised, to be told from what its reader raises."""
        self._chunks, self._expected, self._source = chunks, sha256, source

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._checked()
        except Exception as error:
            self.error = error
            raise

    def _checked(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in self._chunks:
            digest.update(chunk)
            self.bytes += len(chunk)
            yield chunk
        if digest.hexdigest() != self._expected:
            raise DataError(
                f"has SHA-256 {digest.hexdigest()}, expected {self._expected}",
                source=self._source,
                hint=CHANGED_HINT,
            )


class Pieces(io.RawIOBase):
    """A file made of a stream. What is read of it is a piece as it is, where no more is asked for: that is no copy.

    Examples
    --------
    >>> file = Pieces(iter([b"ab", b"", b"cde"]))
    >>> file.read(3), file.read(2), file.read()
    (b'ab', b'cd', b'e')
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest: bytes | memoryview = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, at most `size` and at most those of a piece; without a size, all that are left."""
        if size is None or size < 0:
            return self.readall()
        found = self._next(size)
        return found if isinstance(found, bytes) else bytes(found)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer with what comes next."""
        found = self._next(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _next(self, size: int) -> bytes | memoryview:
        while not self._rest:
            if (piece := next(self._pieces, None)) is None:
                return b""
            self._rest = piece
        if len(self._rest) <= size:
            found, self._rest = self._rest, b""
        else:
            view = memoryview(self._rest)
            found, self._rest = view[:size], view[size:]
        return found


def unbuffered(stream: BinaryIO) -> tuple[bytes, Callable[[int], bytes]]:
    """Return what a stream has in its buffer, and what gives the next bytes of the rest, so many or fewer.

    Of `Pieces` the rest is given without a copy, of others with one less than by `read`. Nothing else may read it then.

    >>> file = io.BufferedReader(Pieces(iter([b"abc", b"de"])))
    >>> _ = file.read(1)
    >>> buffered, take = unbuffered(file)
    >>> buffered, take(9), take(9)
    (b'bc', b'de', b'')
    """
    if isinstance(stream, io.BufferedReader) and isinstance(stream.raw, Pieces):
        return stream.read(len(stream.peek())), stream.raw.read
    return b"", getattr(stream, "read1", stream.read)


class HashedReader(Pieces):
    """A file made of a stream that is read a little ahead and hashed, both in a thread of its own.

    Parameters
    ----------
    chunks : iterable of bytes
        The stream.

    Examples
    --------
    >>> with HashedReader([b"hel", b"lo"]) as file:
    ...     file.read(3), file.sha256() == sha256_of([b"hello"])
    (b'hel', True)
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.bytes = 0
        """Bytes that were taken from the stream."""
        self.is_whole = False
        """Whether the stream came to its end."""
        self._digest = hashlib.sha256()
        self._open = contextlib.ExitStack()
        super().__init__(self._open.enter_context(read_ahead(self._hashed(chunks))))

    def _hashed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._digest.update(chunk)
            self.bytes += len(chunk)
            yield chunk
        self.is_whole = True

    def sha256(self) -> str:
        """Read what is left and return the hash of everything, in lower-case hexadecimal.

        What the stream raises is raised.
        """
        self._rest = b""
        for _ in self._pieces:
            pass
        return self._digest.hexdigest()

    def close(self) -> None:
        """Stop reading."""
        self._open.close()
        super().close()


_READ_AHEAD = 2
Piece = TypeVar("Piece", bytes, bytes | memoryview)


@contextlib.contextmanager
def read_ahead(chunks: Iterable[Piece]) -> Iterator[Iterator[Piece]]:
    """Pull a stream in a thread of its own, a little ahead of its reader.

    A store that is written from a stream that reads a store would otherwise enter its client twice in one thread,
    which obstore answers with a panic. What the stream raises, its reader gets.

    >>> with read_ahead([b"a", b"b"]) as pieces:
    ...     b"".join(pieces)
    b'ab'
    """
    pieces: queue.Queue[Piece | BaseException | None] = queue.Queue(maxsize=_READ_AHEAD)
    stopped = threading.Event()

    def pull() -> None:
        last: BaseException | None = None
        try:
            for chunk in chunks:
                pieces.put(chunk)
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the reader
            last = error
        pieces.put(last)

    def pieces_of() -> Iterator[Piece]:
        while not isinstance(piece := pieces.get(), BaseException | None):
            yield piece
        if piece is not None:
            raise piece

    thread = threading.Thread(target=pull, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield pieces_of()
    finally:
        stopped.set()
        while thread.is_alive():  # make room, so that it sees that nobody reads any more
            with contextlib.suppress(queue.Empty):
                pieces.get(timeout=0.05)
        thread.join()
