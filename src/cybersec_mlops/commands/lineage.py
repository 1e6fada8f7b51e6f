"""A trace as people read it: with what the manifests name, and each original under the name it came with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.audit.lineage import Trace
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.originals import MANIFEST_FORMAT, object_key
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.silver import SilverManifest

FOLDER: Final = "manifests/"
"""Where RAW and SILVER keep theirs."""
_TOLD: Final = ("id", "run_id", "phase", "status", "started_at", "ended_at", "key", "dataset", "rows", "inputs")
_ALSO_TOLD: Final = ("outputs", "parameters", "metrics", "code_version", "prefect_flow_run_id", "error", "hash")


class Manifests:
    """Gives the references inside a manifest of RAW or SILVER, each read once and checked against its hash.

    What is gone or damaged is noted in `unread`, uri to reason, and the trace goes on without it. A store that does
    not answer is an error: a trace with holes that nobody sees would be worse than none.
    """

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.unread: dict[str, str] = {}

    def __call__(self, reference: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Give the references inside, none where it is no manifest.

        Raises
        ------
        PlatformError
            The store failed.
        """
        uri = str(reference["uri"])
        for store, read in ((self._layers.raw, _originals), (self._layers.silver, _parts)):
            if uri.startswith(f"{store.url}/{FOLDER}"):
                try:
                    yield from read(_verified(uri, str(reference["sha256"]), store), store)
                except (DataError, ValueError, KeyError, TypeError) as error:
                    self.unread[uri] = str(error)


def _verified(uri: str, sha256: str, store: ObjectStore) -> bytes:
    data = store.get_bytes(store.key(uri))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError("it does not match its SHA-256", source=uri)
    return data


def _originals(data: bytes, raw: ObjectStore) -> Iterator[dict[str, Any]]:
    value = json.loads(data)
    if value.get("manifest") != MANIFEST_FORMAT:
        raise DataError("it is not a manifest of originals")
    for entry in value["originals"]:
        yield {"uri": raw.uri(object_key(entry["sha256"])), "sha256": entry["sha256"], "bytes": entry["bytes"]}


def _parts(data: bytes, silver: ObjectStore) -> Iterator[dict[str, Any]]:
    manifest = SilverManifest.from_json(data, silver)
    for reference in (*manifest.parts, *manifest.quarantine):
        yield reference.to_dict()


def trace_document(trace: Trace) -> dict[str, Any]:
    """Return a trace as JSON; originals have the names under which they came.

    Returns
    -------
    dict
        ``thing``, ``kind``, ``objects``, ``sources``, and the events ``made_by``, ``led_to`` and ``told``.
    """
    names = _names((*trace.made_by, *trace.led_to))
    return {
        "thing": trace.thing,
        "kind": trace.kind,
        "objects": [_named(each, names) for each in trace.objects],
        "sources": [_named(each, names) for each in trace.sources],
        "made_by": [_event(event) for event in trace.made_by],
        "led_to": [_event(event) for event in trace.led_to],
        "told": [_event(event) for event in trace.told],
    }


def _names(events: tuple[StoredEvent, ...]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for event in events:
        for name, sha256 in dict(event.outputs.get("sources") or {}).items():
            known = names.setdefault(str(sha256), [])
            known += [name] if name not in known else []
    return names


def _named(reference: dict[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    known = names.get(str(reference["sha256"]))
    return {**reference, "names": known} if known else dict(reference)


def _event(event: StoredEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in (*_TOLD, *_ALSO_TOLD)}
