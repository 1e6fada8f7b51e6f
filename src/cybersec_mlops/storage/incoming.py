"""A stream that is written to a folder of objects while others read it, and becomes one of them or nothing.

Its hash, and so its name, is known when it was read to its end: to hash it first would be to read it twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.storage import failures
from cybersec_mlops.storage.page_cache import WriteBehind


class Incoming:
    """A file beside a folder's objects, gone when the block is left unless it was kept.

    Parameters
    ----------
    folder : Path
        The folder of a ``file://`` store.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Incoming(Path(folder)) as incoming:
    ...     size = sum(len(piece) for piece in incoming.copied([b"a", b"b"]))
    ...     incoming.keep("objects/ab")
    ...     size, (Path(folder) / "objects/ab").read_bytes()
    (2, b'ab')
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Of names like this one obstore lists none: they are those of its own writes that are not through yet.
        self._path = folder / f"incoming#{secrets.randbelow(10**12)}"

    def __enter__(self) -> Incoming:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=0)
            self._behind = WriteBehind(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._behind.close()
        self._file.close()
        self._path.unlink(missing_ok=True)

    def copied(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Hand a stream on, each piece when it is written.

        Raises
        ------
        PlatformError
            It cannot be written.
        """
        for chunk in chunks:
            self.write(chunk)
            yield chunk

    def write(self, data: bytes | memoryview) -> None:
        """Add to the file.

        Raises
        ------
        PlatformError
            It cannot be written.
        """
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._behind.wrote(len(data))
        except OSError as error:
            raise self._failure(error) from error

    def keep(self, key: str) -> None:
        """Let what was written be the object of this name, in the place of one that is there.

        Raises
        ------
        PlatformError
            It cannot be.
        """
        target = self._folder / key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(target)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> PlatformError:
        where = f"folder {self._folder}"
        explained = failures.explain(error, doing="write", where=where, uri=f"file://{self._path}")
        return (
            explained
            if isinstance(explained, PlatformError)
            else PlatformError(f"{where} is gone", hint="was it deleted meanwhile? run it again")
        )
