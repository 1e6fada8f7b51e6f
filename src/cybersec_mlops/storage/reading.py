"""What is read of a store: objects by key, in bounded requests, verified by their SHA-256.

What is read with a hash either matches it or is an error. Large objects are streamed, in requests that are each small
enough to be bounded and retried.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from obstore.store import LocalStore, MemoryStore, S3Store

from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.storage import failures
from cybersec_mlops.storage.page_cache import forget
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.s3 import S3Options
from cybersec_mlops.storage.streams import HashedReader, sha256_of
from cybersec_mlops.waiting import Wait, waiting_for

CHUNK_BYTES: Final = 8 << 20
PIECE_BYTES: Final = 1 << 20
"""Read at once of a folder's object: so little is still in the processor's cache when it is hashed."""
READ_LIMIT_BYTES: Final = 256 << 20

MOVED: Final = "it was written to another store: check the store URL, or link the old folder's name to where it is now"


class ReadableStore:
    """The objects below one URL, to be read; `ObjectStore` opens them and writes.

    Parameters
    ----------
    url : str
        Where they are.
    client : LocalStore, MemoryStore or S3Store
        What reaches them.
    root : str
        What stands before a key in the client's names: "" or a folder with a slash at its end.
    s3 : S3Options, optional
        How the S3 server is reached.
    """

    def __init__(
        self, url: str, client: LocalStore | MemoryStore | S3Store, *, root: str = "", s3: S3Options | None = None
    ) -> None:
        self.url = url
        self._client = client
        self._root = root
        self._s3 = s3

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def s3(self) -> S3Options | None:
        """How the S3 server is reached; None for other stores."""
        return self._s3

    @property
    def folder(self) -> Path | None:
        """The folder of a ``file://`` store; None for other stores."""
        return Path(f"/{self._root}") if self._root else None

    @property
    def where(self) -> str:
        """The store in a reader's words, without secrets."""
        if self._s3 is not None:
            return f"bucket {self.url.split('/')[2]!r} at {self._s3.endpoint}"
        return f"folder {self.folder}" if self._root else self.url

    def uri(self, key: str) -> str:
        """Return the absolute location of `key`.

        Raises
        ------
        DataError
            The key is empty or would leave the store (``..``, a leading slash, control characters).
        """
        parts = key.split("/")
        if not all(parts) or {".", ".."} & set(parts) or _UNSAFE.search(key):
            raise DataError(
                f"{key!r} is not a key of {self.url}", hint="names joined by single slashes, without . and .."
            )
        return f"{self.url}/{key}"

    def key(self, uri: str) -> str:
        """Return the key of a location in this store, the opposite of `uri`.

        Raises
        ------
        DataError
            The location belongs to another store, or would leave this one.
        """
        if not uri.startswith(f"{self.url}/"):
            raise DataError(f"{uri} is not in {self.url}", hint=MOVED)
        key = uri[len(self.url) + 1 :]
        self.uri(key)
        return key

    def _path(self, key: str) -> str:
        self.uri(key)
        return f"{self._root}{key}"

    @contextlib.contextmanager
    def _doing(self, verb: str, uri: str) -> Iterator[Wait]:
        try:
            with waiting_for(self.where) as wait:
                yield wait
        except failures.TRANSPORT as error:
            raise failures.explain(error, doing=verb, where=self.where, uri=uri) from error
        except ValueError as error:  # a name that the client cannot express
            raise DataError(f"{uri!r} is not a name that {self.where} can hold") from error

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, None when there is none."""
        uri = self.uri(key)
        try:
            with self._doing("read", uri):
                return self._client.head(self._path(key))["size"]
        except DataError:
            return None

    def exists(self, key: str) -> bool:
        """Say whether there is an object; its bytes are not looked at (see `holds`)."""
        return self.size(key) is not None

    def chunks(self, key: str, *, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Read an object as a stream, not verified; each piece is one bounded and retried request.

        Raises
        ------
        DataError
            There is no such object.
        PlatformError
            The store failed, or the object became shorter under the reading.
        """
        with self._doing("read", self.uri(key)):
            total = self._client.head(self._path(key))["size"]
        for start in range(0, total, size):
            yield self.get_range(key, start, min(start + size, total))

    def _pieces(self, key: str) -> Iterator[bytes]:
        return self.chunks(key, size=PIECE_BYTES if self._root else CHUNK_BYTES)

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Read the bytes from `start` up to `end`, in one bounded request.

        Raises
        ------
        DataError
            There is no such object.
        PlatformError
            The store failed, or the object is shorter.
        """
        uri = self.uri(key)
        with self._doing("read", uri):
            piece = self._piece(self._path(key), start, end)
        if len(piece) != end - start:
            raise PlatformError(
                f"{uri} ended at byte {start + len(piece)}, expected {end} or more", hint="run it again"
            )
        return piece

    def _piece(self, path: str, start: int, end: int) -> bytes:
        if not self._root:
            return self._client.get_range(path, start=start, end=end).to_bytes()
        with Path(f"/{path}").open("rb", buffering=0) as file:  # the client would copy it once more
            file.seek(start)
            piece = file.read(end - start)
            forget(file.fileno(), end)
            return piece

    def get_bytes(self, key: str, *, sha256: str | None = None, limit: int = READ_LIMIT_BYTES) -> bytes:
        """Read a whole object into memory, verified when its hash is given.

        Raises
        ------
        DataError
            There is no such object, or it has more than `limit` bytes.
        PlatformError
            The store failed, or the bytes do not match the hash.
        """
        uri = self.uri(key)
        size = self.size(key)
        if size is None:
            raise failures.explain(FileNotFoundError(), doing="read", where=self.where, uri=uri)
        if size > limit:
            raise DataError(f"{uri} has {size} bytes, more than the {limit} that are read at once")
        data = b"".join(self.chunks(key))
        if sha256 is not None:
            self._verify(uri, sha256, hashlib.sha256(data).hexdigest())
        return data

    def fetch(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """Copy an object to a file, streamed and verified; the file appears complete or not at all.

        Raises
        ------
        DataError
            There is no such object.
        PlatformError
            The store failed, the file cannot be written, or the bytes do not match the hash.
        """
        uri, digest = self.uri(key), hashlib.sha256()
        try:
            descriptor, part = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
        except OSError as error:
            raise PlatformError(f"cannot write {path}: {error.strerror}", hint="check the scratch folder") from error
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in self.chunks(key):
                    digest.update(chunk)
                    file.write(chunk)
            if sha256 is not None:
                self._verify(uri, sha256, digest.hexdigest())
            Path(part).replace(path)
        except OSError as error:
            raise PlatformError(f"cannot write {path}: {error.strerror}", hint="check the scratch folder") from error
        finally:
            Path(part).unlink(missing_ok=True)

    @contextlib.contextmanager
    def reading(self, key: str, *, sha256: str) -> Iterator[BinaryIO]:
        """Give an object as a file that is read ahead; whoever is through with it has read what the hash names.

        Damaged bytes are told after they were read, at the end: what was made of them must be thrown away. Whatever
        else failed because of them is told as what it is.

        Raises
        ------
        DataError
            There is no such object.
        PlatformError
            The store failed, or the bytes do not match the hash.
        """
        uri = self.uri(key)
        with HashedReader(self._pieces(key)) as file:
            try:
                yield cast("BinaryIO", file)
            except DataError:
                found = file.sha256()
                if file.is_whole:
                    self._verify(uri, sha256, found)
                raise
            self._verify(uri, sha256, file.sha256())

    def holds(self, reference: Reference) -> bool:
        """Say whether the referenced object is here, with its size and its hash; the bytes are read."""
        key = self.key(reference.uri)
        if self.size(key) != reference.bytes:
            return False
        return sha256_of(self._pieces(key)) == reference.sha256

    def list(self, prefix: str = "", *, most: int | None = None) -> Iterator[tuple[str, int]]:
        """Give key and size in bytes of the objects below the folder `prefix`, sorted by key.

        Parameters
        ----------
        prefix : str
            The folder.
        most : int, optional
            How many are enough: not many more are asked for.

        Raises
        ------
        PlatformError
            The store failed.
        """
        base = self._path(prefix.rstrip("/")) if prefix.strip("/") else self._root.rstrip("/")
        found: list[tuple[str, int]] = []
        with self._doing("list", self.url):
            for page in self._client.list(base or None, chunk_size=1000):
                found += [(item["path"].removeprefix(self._root), item["size"]) for item in page]
                if most is not None and len(found) >= most:
                    break
        yield from sorted(found)

    def _verify(self, uri: str, expected: str, found: str) -> None:
        if expected != found:
            raise PlatformError(
                f"{uri} does not match its SHA-256: expected {expected}, found {found}",
                hint="the stored object is damaged or was replaced; delete it and run the phase that wrote it again",
            )


_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")
