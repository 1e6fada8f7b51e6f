"""What the champion says of the test rows, and how the new model compares with it.

Of rows that it was trained on it says what it remembers: by those nothing is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.evaluation.gate import Comparison, Opponent, compare
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.transformation.silver import SilverManifest, iterate_silver, manifest_key

CHAMPION_SCORE: Final = "champion_score"
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
    seen = pl.Series("seen", [False]).new_from_index(0, test.height)
    split, sha256 = provenance["split"], provenance["silver_manifest"]["sha256"]
    earlier = pl.lit(value=True)
    if split["method"] == "time":
        earlier = (pl.col("ts") < datetime.fromisoformat(split["boundary"])).fill_null(value=True)
    rows = test.select(*PLACE, *CONNECTION).with_row_index("_row").filter(earlier)
    if rows.is_empty() or not silver.exists(manifest_key(sha256)):  # mostly all rows are later, and nothing is read
        return seen
    manifest = SilverManifest.from_json(silver.get_bytes(manifest_key(sha256), sha256=sha256), silver)
    named = rows.drop_nulls(["ts", "orig_h", "resp_h"])  # else nothing tells a row from others
    for part in iterate_silver(manifest, silver, folder, [*PLACE, *CONNECTION]):
        trained = part.filter(earlier)
        for met in (
            rows.join(trained, on=PLACE, how="semi"),
            named.join(trained, on=CONNECTION, how="semi", nulls_equal=True),
        ):
            seen = seen.scatter(met["_row"], True)
    return seen


def champion_scores(
    champion: Detector, provenance: Mapping[str, Any], test: pl.DataFrame, silver: ObjectStore, folder: Path
) -> pl.Series | None:
    """Score the test rows with the champion, null where it was trained on them.

    Returns
    -------
    Series of float or None
        `CHAMPION_SCORE`; None where it needs features that the rows do not have.
    """
    try:
        scores = champion.score(test)["score"]
    except DataError:
        return None
    return scores.set(seen_rows(test, provenance, silver, folder), None).alias(CHAMPION_SCORE)


def compare_with_champion(
    scored: pl.DataFrame, version: int | None, spec: EvaluationSpec
) -> tuple[Comparison | None, Opponent | None]:
    """Compare on the labelled rows that the champion was not trained on.

    Where there is none, or it cannot score these rows, it cannot defend its title: both are None.
    """
    if version is None or CHAMPION_SCORE not in scored.columns:
        return None, None
    labelled = scored.filter(pl.col("is_attack").is_not_null())
    unseen = labelled.filter(pl.col(CHAMPION_SCORE).is_not_null())
    opponent = Opponent(str(version), rows=labelled.height, seen=labelled.height - unseen.height)
    found = compare(
        unseen,
        *(unseen[name].to_numpy() for name in ("score", CHAMPION_SCORE)),
        champion_version=opponent.version,
        spec=spec.gate,
        resamples=spec.resamples,
        seed=spec.seed,
    )
    return found, opponent
