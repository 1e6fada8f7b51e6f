"""Iceberg's file access over `ObjectStore`: the same limits, retries and errors as everything else.

pyiceberg loads this module by name, and only then: it imports pyiceberg at its top, so nothing else may import it.
"""

from __future__ import annotations

import io
from types import TracebackType
from typing import Final, Self

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.typedef import EMPTY_DICT, Properties

from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.ranged import open_ranged

STORE_PROPERTY: Final = "cybersec-mlops.store-url"
"""The catalog property that names the store."""


class StoreFileIO(FileIO):
    """Iceberg's files in one `ObjectStore`."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._store = ObjectStore.from_url(properties[STORE_PROPERTY])

    def new_input(self, location: str) -> StoredFile:
        """Return a file to read."""
        return StoredFile(self._store, location)

    def new_output(self, location: str) -> StoredFile:
        """Return a file to write."""
        return StoredFile(self._store, location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file."""
        self._store.delete(self._store.key(location if isinstance(location, str) else location.location))


class StoredFile(InputFile, OutputFile):
    """A file by its location, to read or to write."""

    def __init__(self, store: ObjectStore, location: str) -> None:
        super().__init__(location)
        self._store, self._key = store, store.key(location)

    def __len__(self) -> int:
        size = self._store.size(self._key)
        if size is None:
            raise FileNotFoundError(self.location)
        return size

    def exists(self) -> bool:
        """Say whether it is there."""
        return self._store.exists(self._key)

    def to_input_file(self) -> InputFile:
        """Return the same file, to read."""
        return self

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002 - it always is
        """Open it for reading in pieces."""
        return open_ranged(self._store, self._key, len(self))

    def create(self, overwrite: bool = False) -> OutputStream:
        """Open it for writing; it appears, complete, when closed without an exception."""
        return _Writing(self._store, self._key, overwrite=overwrite)


class _Writing(io.BytesIO):
    """Metadata files are small: they are kept in memory until closed."""

    def __init__(self, store: ObjectStore, key: str, *, overwrite: bool) -> None:
        super().__init__()
        self._store, self._key, self._overwrite = store, key, overwrite

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            super().close()
        self.close()

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._store.put_bytes(self._key, data, overwrite=self._overwrite)
