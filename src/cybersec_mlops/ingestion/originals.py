"""What RAW knows of an original, and the manifest that names a set of them.

The manifest holds neither names nor places nor times: the same bytes give the same manifest, under whatever name they
arrived and in whatever store they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference

MANIFEST_FORMAT: Final = "cybersec-mlops/raw-manifest/1"
MAX_SHARED: Final = 4_096
"""Pieces that the originals of a run may tell each other; further ones are left out."""
_LISTS: Final = ("ignored", "notes", "shared")


@dataclass(frozen=True, slots=True)
class Original:
    """A file, byte for byte as it came, in RAW under its hash."""

    sha256: str
    uri: str
    bytes: int
    """As it is stored, compressed or not."""
    format: str
    variant: str
    compression: str
    source_name: str
    """The name under which these bytes were seen first, safe to show."""
    lines: int
    """Lines of its decompressed content."""
    decompressed_bytes: int
    synthetic: bool = False
    """Whether the file says of itself that it was simulated."""
    ignored: tuple[str, ...] = ()
    """Columns that are not read."""
    notes: tuple[str, ...] = ()
    mapping: str | None = None
    """SHA-256 of the mapping that explains it, where one does."""
    shared: tuple[str, ...] = ()
    """What reading the run's other originals of this format may need (`Recognition.shared`), in hexadecimal."""
    content: str = ""
    """SHA-256 of its decompressed content."""
    stored: bool = False
    """Whether this run wrote it; False where RAW had it."""

    @property
    def reference(self) -> Reference:
        """Where it is and what it must be."""
        return Reference(self.uri, self.sha256, self.bytes)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in _LISTS}}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Original:
        """Read the JSON form."""
        known = {item.name: value[item.name] for item in fields(cls) if item.name in value}
        return cls(**{**known, **{name: tuple(value.get(name, ())) for name in _LISTS}})


def object_key(sha256: str) -> str:
    """Return where an original lies in RAW.

    >>> object_key("ab12")
    'objects/ab/ab12'
    """
    return f"objects/{sha256[:2]}/{sha256}"


def mapping_key(sha256: str) -> str:
    """Return where a mapping file lies in RAW."""
    return f"mappings/{sha256[:2]}/{sha256}.toml"


def receipt_key(sha256: str) -> str:
    """Return where the receipt of an original lies in RAW."""
    return f"receipts/{sha256[:2]}/{sha256}.json"


def write_receipt(original: Original, raw: ObjectStore) -> Original:
    """Write what is known of an original beside it, once; return it with the name under which it was seen first."""
    key = receipt_key(original.sha256)
    if (earlier := _read_receipt(original.sha256, raw)) is None:
        receipt = {name: value for name, value in original.to_dict().items() if name != "stored"}
        try:
            raw.put_bytes(key, _json(receipt))
        except DataError:  # another run wrote it at the same moment, with its own name for the same bytes
            earlier = _read_receipt(original.sha256, raw)
    if earlier is None:
        return original
    return Original.from_dict({**original.to_dict(), "source_name": earlier["source_name"]})


def _read_receipt(sha256: str, raw: ObjectStore) -> dict[str, Any] | None:
    key = receipt_key(sha256)
    if not raw.exists(key):
        return None
    receipt: dict[str, Any] = json.loads(raw.get_bytes(key))
    return receipt


def write_manifest(originals: Iterable[Original], raw: ObjectStore) -> Reference:
    """Write the list of a set of originals under its own hash; equal bytes are listed once.

    Raises
    ------
    PlatformError
        The store failed.
    """
    listed = ("sha256", "bytes", "format", "variant", "compression", "lines", "decompressed_bytes", "synthetic")
    once = {original.sha256: original for original in originals}
    entries = [
        {name: getattr(one, name) for name in listed} | ({"mapping": one.mapping} if one.mapping else {})
        for one in (once[sha256] for sha256 in sorted(once))
    ]
    data = _json({"manifest": MANIFEST_FORMAT, "originals": entries})
    return _put_content(data, raw)


def _put_content(data: bytes, raw: ObjectStore) -> Reference:
    from hashlib import sha256

    digest = sha256(data).hexdigest()
    return raw.put_bytes(f"manifests/{digest[:2]}/{digest}.json", data)


def read_manifest(reference: Reference, raw: ObjectStore) -> tuple[Original, ...]:
    """Return the originals of a manifest, verified, with the names from their receipts.

    Raises
    ------
    DataError
        It is no manifest, or not there.
    PlatformError
        The store failed, or the manifest is damaged.
    """
    data = raw.get_bytes(raw.key(reference.uri), sha256=reference.sha256)
    value = json.loads(data)
    if value.get("manifest") != MANIFEST_FORMAT:
        raise DataError(
            f"{reference.uri} is not a manifest of originals: {str(value.get('manifest'))[:60]!r}, "
            f"expected {MANIFEST_FORMAT!r}",
            hint="give the reference that the ingestion phase returned",
        )
    return tuple(_original(entry, raw) for entry in value["originals"])


def _original(entry: dict[str, Any], raw: ObjectStore) -> Original:
    receipt = _read_receipt(entry["sha256"], raw) or {}
    told: dict[str, Any] = {name: receipt[name] for name in ("source_name", *_LISTS) if name in receipt}
    uri = raw.uri(object_key(entry["sha256"]))
    return Original.from_dict({"source_name": uri, **told, **entry, "uri": uri})


def share(originals: Iterable[Original]) -> tuple[Original, ...]:
    """Tell each original what all of its format have to share, whatever their order and their names."""
    originals = tuple(originals)
    pieces: dict[str, set[str]] = {}
    for original in originals:
        if original.shared:
            pieces.setdefault(original.format, set()).update(original.shared)
    shared = {name: tuple(sorted(found)[:MAX_SHARED]) for name, found in pieces.items()}
    return tuple(replace(one, shared=shared[one.format]) if one.format in shared else one for one in originals)


def same_content(originals: Iterable[Original]) -> dict[str, str]:
    """Return the names of originals whose content another one has as well, in another compression, and that one's.

    They are different bytes, so that both are stored, and each of their connections counts twice.
    """
    first: dict[str, Original] = {}
    again: dict[str, str] = {}
    for one in originals:
        other = first.setdefault(one.content, one) if one.content else one
        if other.sha256 != one.sha256:
            again[one.source_name] = other.source_name
    return again


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
