"""Alerts to where a person wants them: a file or an S3 object beside what EVAL keeps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference

KINDS: Final = {
    ".ndjson": "alerts_ndjson",
    ".jsonl": "alerts_ndjson",
    ".json": "alerts_ndjson",
    ".parquet": "alerts_parquet",
}
"""Ending of the name to the output that is delivered."""
MODE: Final = 0o640
"""Of a new file: alerts are as confidential as the logs."""


def check_target(out: str) -> None:
    """Refuse what cannot be written, before any work is done.

    Raises
    ------
    ConfigError
        The name does not end in a known kind, its folder is not there, or it is not a place.
    """
    kind_of(out)
    if "://" in out:
        _store_of(out)
        return
    path = Path(out)
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {path.parent}", hint="make it first, or name another place")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{out}: its folder cannot be written", hint="name another place")


def kind_of(out: str) -> str:
    """Return which output a name asks for.

    >>> kind_of("alerts.ndjson"), kind_of("s3://soc/today.parquet")
    ('alerts_ndjson', 'alerts_parquet')
    """
    kind = KINDS.get(os.path.splitext(out)[1].lower())  # noqa: PTH122 - may be a URL
    if kind is None:
        raise ConfigError(f"{out}: the name says no format", hint="end it in .ndjson or .parquet")
    return kind


def deliver(out: str, outputs: Mapping[str, Any], layers: Layers) -> dict[str, Any]:
    """Copy the alerts, verified against their hash; what was there is replaced, and a half file is never seen.

    Returns
    -------
    dict
        ``to``, ``bytes`` and ``sha256_of_content``.

    Raises
    ------
    PlatformError
        The place failed, or what EVAL has is not what was stored.
    """
    alerts = Reference.from_dict(outputs[kind_of(out)])
    source = layers.store_of(alerts.uri)
    key = source.key(alerts.uri)
    if "://" in out:
        store, name = _store_of(out)
        store.put_chunks(name, source.chunks(key), sha256=alerts.sha256, overwrite=True, source=alerts.uri)
    else:
        _to_file(source, key, Path(out), alerts.sha256)
    return {"to": out, "bytes": alerts.bytes, "sha256_of_content": alerts.sha256}


def _to_file(source: ObjectStore, key: str, path: Path, sha256: str) -> None:
    mode = MODE
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode & 0o777
    source.fetch(key, path, sha256=sha256)
    try:
        path.chmod(mode)
    except OSError as error:
        raise PlatformError(f"{path}: its mode cannot be set: {error.strerror}") from None


def _store_of(out: str) -> tuple[ObjectStore, str]:
    place, _, name = out.rpartition("/")
    if not name or place.endswith(":/"):
        raise ConfigError(f"{out} names no object", hint="write it as s3://bucket/name.ndjson")
    return ObjectStore.from_url(place), name
