"""What the manifests of RAW and SILVER name: an object that stands for others is no more than they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.originals import MANIFEST_FORMAT, mapping_key, object_key
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.silver import SilverManifest

FOLDER: Final = "manifests/"
"""Where both layers keep theirs."""


def references_inside(uri: str, sha256: str, layers: Layers) -> Iterator[Reference]:
    """Give the objects that a manifest names, none where `uri` is no manifest.

    Parameters
    ----------
    uri, sha256 : str
        Any object, and what it must hash to.
    layers : Layers
        Where it is looked for.

    Raises
    ------
    DataError
        The manifest is gone, damaged, or of another kind.
    PlatformError
        The store failed.
    """
    readers: tuple[tuple[ObjectStore, Callable[[bytes, ObjectStore], Iterator[Reference]]], ...] = (
        (layers.raw, _originals),
        (layers.silver, _parts),
    )
    for store, read in readers:
        if uri.startswith(f"{store.url}/{FOLDER}"):
            data = store.get_bytes(store.key(uri))
            if hashlib.sha256(data).hexdigest() != sha256:
                raise DataError("it does not match its SHA-256", source=uri)
            try:
                yield from read(data, store)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"it is no manifest: {error}", source=uri) from None


def _originals(data: bytes, raw: ObjectStore) -> Iterator[Reference]:
    value = json.loads(data)
    if value.get("manifest") != MANIFEST_FORMAT:
        raise ValueError(f"it does not say {MANIFEST_FORMAT!r}")
    for entry in value["originals"]:
        yield Reference(raw.uri(object_key(entry["sha256"])), entry["sha256"], entry["bytes"])
    for sha256 in sorted({entry["mapping"] for entry in value["originals"] if entry.get("mapping")}):
        key = mapping_key(sha256)
        yield Reference(raw.uri(key), sha256, raw.size(key) or 0)


def _parts(data: bytes, silver: ObjectStore) -> Iterator[Reference]:
    manifest = SilverManifest.from_json(data, silver)
    yield from (*manifest.parts, *manifest.quarantine)
