"""A run's report, from wherever EVAL is to a file that a browser opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.layers import Layers


def save_report(document: Mapping[str, Any], layers: Layers, path: Path) -> None:
    """Write the report of a run to a file, whole and verified against its hash, or not at all.

    Parameters
    ----------
    document : mapping
        The run's document (`pipeline.result`).
    layers : Layers
        Where its artefacts are.
    path : Path
        The file to write; one that is there is replaced.

    Raises
    ------
    DataError
        The run has no report.
    PlatformError
        The store failed, or what it gave is not what was stored.
    """
    uri = document["phases"].get("evaluation", {}).get("report")  # a scoring has no evaluation
    if uri is None:
        raise DataError(
            f"run {document['run_id']} has no report: its status is {document['status']}",
            hint="a report is made by the evaluation; `cybersec-mlops runs` lists the runs that completed",
        )
    store = layers.store_of(uri)
    store.fetch(store.key(uri), path, sha256=PurePosixPath(uri).stem)
