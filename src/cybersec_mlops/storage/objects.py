"""One interface over a folder, memory and S3: objects by key, verified by their SHA-256.

What is written under a name either is complete or does not exist. What is read with a hash either matches it or is an
error. Large objects are streamed both ways, in requests that are each small enough to be bounded and retried.
Nothing in here knows what the bytes mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import quote, unquote

from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, MemoryStore, S3Store

from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, PlatformError
from cybersec_mlops.storage import failures
from cybersec_mlops.storage.incoming import Incoming
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.s3 import S3Options, create_bucket, open_bucket
from cybersec_mlops.storage.streams import CheckedStream, HashedReader, file_chunks, read_ahead, sha256_of
from cybersec_mlops.waiting import Wait, waiting_for

CHUNK_BYTES: Final = 8 << 20
PART_BYTES: Final = 16 << 20
"""Size of an upload's parts: S3 allows 10,000 of them, so an object may reach 160 GB."""
UPLOADS_AT_ONCE: Final = 2
"""Parts under way, each held in memory; more are no faster, to a folder slower."""
READ_LIMIT_BYTES: Final = 256 << 20

_memories: dict[str, MemoryStore] = {}


MOVED: Final = "it was written to another store: check the store URL, or link the old folder's name to where it is now"


class ObjectStore:
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

    def __init__(
        self, url: str, client: LocalStore | MemoryStore | S3Store, *, root: str = "", s3: S3Options | None = None
    ) -> None:
        self.url = url
        self._client = client
        self._root = root  # what stands before a key in the client's names, "" or "…/"
        self._s3 = s3

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

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

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

    # -- names ---------------------------------------------------------------------------------------------------------

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

    # -- writing -------------------------------------------------------------------------------------------------------

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
            return self._put_large(reference, data, overwrite=overwrite)
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

    def _put_large(self, reference: Reference, data: bytes | memoryview, *, overwrite: bool) -> Reference:
        key = self.key(reference.uri)
        if self.folder is None:
            pieces = (bytes(data[start : start + CHUNK_BYTES]) for start in range(0, len(data), CHUNK_BYTES))
            return self.put_chunks(key, pieces, sha256=reference.sha256, overwrite=overwrite)
        if overwrite or not self.holds(reference):
            with Incoming(self.folder) as incoming:  # the client would copy it once more
                incoming.write(data)
                incoming.keep(key)
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
        if self.folder is not None:
            with Incoming(self.folder) as incoming:  # the client would copy it once more
                deque(incoming.copied(counted), maxlen=0)
                incoming.keep(key)
            return Reference(uri, sha256, counted.bytes)
        try:
            with self._doing("write", uri) as wait, read_ahead(counted) as pieces:
                moving = wait.moving(pieces)
                self._client.put(self._path(key), moving, chunk_size=PART_BYTES, max_concurrency=UPLOADS_AT_ONCE)
        except CybersecMlopsError:
            if counted.error is not None:  # the stream failed, not the store
                raise counted.error from None
            raise
        return Reference(uri, sha256, counted.bytes)

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

    # -- reading -------------------------------------------------------------------------------------------------------

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
            return file.read(end - start)

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
        with HashedReader(self.chunks(key)) as file:
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
        return sha256_of(self.chunks(key)) == reference.sha256

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Give key and size in bytes of the objects below the folder `prefix`, sorted by key.

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
        yield from sorted(found)

    def _verify(self, uri: str, expected: str, found: str) -> None:
        if expected != found:
            raise PlatformError(
                f"{uri} does not match its SHA-256: expected {expected}, found {found}",
                hint="the stored object is damaged or was replaced; delete it and run the phase that wrote it again",
            )


_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")
_ALL_BUT_RESERVED: Final = "/ !\"$&'()*+,:;<=>@[\\]^`{|}~"


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)
