"""One interface over a folder, memory and S3: objects by key, verified by their SHA-256.

What is written under a name either is complete or does not exist; what is read with a hash either matches it or is an
error (`reading`). Large objects are streamed, in requests that are each small enough to be bounded and retried.
Nothing in here knows what the bytes mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, MemoryStore

from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, PlatformError
from cybersec_mlops.storage.incoming import Incoming
from cybersec_mlops.storage.reading import CHUNK_BYTES, ReadableStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.s3 import S3Options, create_bucket, open_bucket
from cybersec_mlops.storage.streams import CheckedStream, file_chunks, read_ahead, sha256_of

PART_BYTES: Final = 16 << 20
"""Size of an upload's parts: S3 allows 10,000 of them, so an object may reach 160 GB."""
UPLOADS_AT_ONCE: Final = 2
"""Parts under way, each held in memory; more are no faster, to a folder slower."""

_memories: dict[str, MemoryStore] = {}


class ObjectStore(ReadableStore):
    """The objects below one URL.

    ``file:///folder`` is a folder (made when first written to), ``s3://bucket[/prefix]`` a bucket on the server that
    the environment names, ``memory://name`` lives in this process and is shared by everyone who opens the same URL.

    Examples
    --------
    >>> store = ObjectStore.from_url("memory://example")
    >>> reference = store.put_bytes("a/b.txt", b"hello")
    >>> reference.uri, reference.bytes
    ('memory://example/a/b.txt', 5)
    >>> store.get_bytes("a/b.txt", sha256=reference.sha256)
    b'hello'
    """

    @classmethod
    def from_url(cls, url: str) -> ObjectStore:
        """Open the store at `url`; nothing is read or written yet.

        Raises
        ------
        ConfigError
            An unknown scheme, a relative folder, or S3 settings that are missing (see `S3Options`).
        """
        scheme, separator, rest = url.partition("://")
        rest = rest.rstrip("/")
        if separator and scheme == "file":
            return cls._folder(url, rest)
        if separator and scheme == "memory":
            url = f"memory://{rest.strip('/')}"
            return cls(url, _memories.setdefault(url, MemoryStore()))
        if separator and scheme == "s3" and rest:
            bucket, _, prefix = rest.partition("/")
            options = S3Options.from_environment()
            return cls(f"s3://{rest}", open_bucket(options, bucket, prefix), s3=options)
        raise ConfigError(
            f"{_without_user(url)!r} is not a store", hint="use file:///folder, s3://bucket/prefix or memory://name"
        )

    @classmethod
    def _folder(cls, url: str, rest: str) -> ObjectStore:
        path = unquote(rest)
        parts = path.split("/")[1:]
        if not path.startswith("/") or not all(parts) or {".", ".."} & set(parts) or "\x00" in path:
            raise ConfigError(f"{url!r} is not an absolute folder", hint="write it as file:///absolute/folder")
        # Only what would make the URL ambiguous is escaped: other readers of these URLs do not unescape.
        return cls(f"file://{quote(path, safe=_ALL_BUT_RESERVED)}", LocalStore(), root=f"{path[1:]}/")

    def put_bytes(
        self, key: str, data: bytes | memoryview, *, sha256: str | None = None, overwrite: bool = False
    ) -> Reference:
        """Write an object that is in memory.

        Without `overwrite`, an object that is already there is kept when it has these bytes. One with other bytes is
        replaced when the key carries the hash of `data` (then the stored one is damaged), and is an error otherwise.

        Parameters
        ----------
        key : str
            Name in the store.
        data : bytes or memoryview
            The object.
        sha256 : str, optional
            The hash of `data`, where it is known already.
        overwrite : bool
            Write in the place of whatever is there.

        Raises
        ------
        DataError
            The key is bad, or taken by another object.
        PlatformError
            The store failed.
        """
        reference = Reference(self.uri(key), sha256 or hashlib.sha256(data).hexdigest(), len(data))
        if len(data) > PART_BYTES and reference.sha256 in key:
            if overwrite or not self.holds(reference):
                self._upload(key, _pieces(data))
            return reference
        path = self._path(key)
        with self._doing("write", reference.uri):
            if overwrite:
                self._client.put(path, data, use_multipart=False)
                return reference
            try:
                self._client.put(path, data, mode="create")
            except AlreadyExistsError:
                if self.holds(reference):
                    return reference
                if reference.sha256 not in key:
                    raise DataError(
                        f"{reference.uri} already holds other bytes, expected those with SHA-256 {reference.sha256}",
                        hint="objects are never changed in place: write under another key",
                    ) from None
                self._client.put(path, data, use_multipart=False)
        return reference

    def put_file(self, key: str, path: Path, *, sha256: str | None = None, overwrite: bool = False) -> Reference:
        """Write a file of any size, streamed; its bytes are hashed as they are sent.

        Parameters
        ----------
        key : str
            Name in the store.
        path : Path
            The file.
        sha256 : str, optional
            What the bytes must hash to; nothing is left in the store when they do not.
        overwrite : bool
            Write even if the right object is already there.

        Raises
        ------
        DataError
            The file cannot be read, changed under the reading, or is not what `sha256` says.
        PlatformError
            The store failed.
        """
        if sha256 is None:
            sha256 = sha256_of(file_chunks(path, CHUNK_BYTES))
        return self.put_chunks(
            key, file_chunks(path, CHUNK_BYTES), sha256=sha256, overwrite=overwrite, source=str(path)
        )

    def put_chunks(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        sha256: str,
        overwrite: bool = False,
        source: str | None = None,
    ) -> Reference:
        """Write a stream whose hash is known; nothing is left in the store when it turns out otherwise.

        Without `overwrite` a stored object that has this hash is kept, and any other one is replaced. A process that is
        killed in the middle may leave hidden parts on an S3 server: a lifecycle rule on it removes them.

        Raises
        ------
        DataError
            The stream is not what `sha256` says; `source` names it.
        PlatformError
            The store failed.
        """
        uri = self.uri(key)
        if not overwrite and (size := self.size(key)) is not None and self.holds(Reference(uri, sha256, size)):
            return Reference(uri, sha256, size)
        counted = CheckedStream(chunks, sha256, source or uri)
        try:
            self._upload(key, counted)
        except CybersecMlopsError:
            if counted.error is not None:  # the stream failed, not the store
                raise counted.error from None
            raise
        return Reference(uri, sha256, counted.bytes)

    def _upload(self, key: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a stream in the place of whatever is there; nothing is left of one that fails."""
        if self.folder is not None:
            with Incoming(self.folder) as incoming:  # the client would copy it once more
                for piece in pieces:
                    incoming.write(piece)
                incoming.keep(key)
            return
        with self._doing("write", self.uri(key)) as wait, read_ahead(pieces) as ahead:
            moving = wait.moving(ahead)
            self._client.put(self._path(key), moving, chunk_size=PART_BYTES, max_concurrency=UPLOADS_AT_ONCE)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        with self._doing("delete", self.uri(key)), contextlib.suppress(FileNotFoundError):
            self._client.delete(self._path(key))

    def ensure(self) -> None:
        """Make the folder or the bucket when it is missing and that is permitted.

        Raises
        ------
        PlatformError
            It is missing and cannot be made, or cannot be reached or written to.
        """
        if self.folder is not None:
            with self._doing("write", self.url):
                self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PlatformError(f"folder {self.folder} is not writable", hint="check its owner and mode")
        elif self._s3 is not None:
            try:
                with self._doing("list", self.url):
                    next(iter(self._client.list(chunk_size=1)), None)
            except PlatformError as error:
                if not error.message.endswith("does not exist"):
                    raise
                create_bucket(self._s3, self.url.split("/")[2])


_ALL_BUT_RESERVED: Final = "/ !\"$&'()*+,:;<=>@[\\]^`{|}~"


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)


def _pieces(data: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES))
