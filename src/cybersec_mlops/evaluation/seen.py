"""Which test rows a model was trained on: what it says of them is memory, and nothing to be compared by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.silver import SilverManifest, iterate_silver

PLACE: Final = ("raw_sha256", "raw_line")
CONNECTION: Final = ("ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p")
"""What tells a connection from others, also in a log that has grown since or was cut into other files."""


def seen_rows(test: pl.DataFrame, provenance: Mapping[str, Any], silver: ObjectStore, folder: Path) -> pl.Series:
    """Say which rows a model was trained on.

    Parameters
    ----------
    test : DataFrame
        With the columns of `PLACE` and `CONNECTION`.
    provenance : mapping
        Of the model's bundle: its SILVER snapshot and how that was split.
    silver : ObjectStore
        The SILVER layer. Where it does not have the snapshot, of a bundle that came from elsewhere, no row is known to
        have been seen.
    folder : Path
        Scratch for one part of the snapshot at a time.

    Returns
    -------
    Series of bool
        A row for each of `test`. Rows are the same at the same place of the same original, or with the same time, uid
        and ends. Where rows were held out at random, all of the snapshot counts as seen.
    """
    sha256 = provenance["silver_manifest"]["sha256"]
    key = f"manifests/{sha256[:2]}/{sha256}.json"
    rows = test.select(*PLACE, *CONNECTION).with_row_index("_row")
    seen = pl.Series("seen", [False]).new_from_index(0, test.height)
    if not silver.exists(key):
        return seen
    manifest = SilverManifest.from_json(silver.get_bytes(key, sha256=sha256), silver)
    split = provenance["split"]
    boundary = datetime.fromisoformat(split["boundary"]) if split["method"] == "time" else None
    for part in iterate_silver(manifest, silver, folder, [*PLACE, *CONNECTION]):
        trained = part if boundary is None else part.filter((pl.col("ts") < boundary).fill_null(value=True))
        met = [rows.join(trained, on=PLACE, how="semi")]
        named = rows.drop_nulls(["ts", "orig_h", "resp_h"])  # else nothing tells a row from others
        met.append(named.join(trained, on=CONNECTION, how="semi", nulls_equal=True))
        for frame in met:
            seen = seen.scatter(frame["_row"], True)
    return seen
