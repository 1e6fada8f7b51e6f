"""A trace as people read it: with what the manifests name, and each original under the name it came with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.audit.lineage import Trace
from cybersec_mlops.errors import DataError
from cybersec_mlops.pipeline.manifests import references_inside
from cybersec_mlops.storage.layers import Layers

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
        try:
            for inside in references_inside(uri, str(reference["sha256"]), self._layers):
                yield inside.to_dict()
        except DataError as error:
            self.unread[uri] = error.message


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
