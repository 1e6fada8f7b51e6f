"""Why a row is an alert, in the analyst's terms: which features, their values, and what is usual."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from cybersec_mlops.training.detector import EXPLANATION_SCHEMA, Detector, shared_by_feature, supervised_shares

LONGEST_VALUE: Final = 200
"""Characters of a text value that an explanation shows."""


def explain(detector: Detector, frame: pl.DataFrame, rows: list[int], top: int) -> pl.DataFrame:
    """Explain rows of a frame (see `Detector.explain`)."""
    if not rows:
        return pl.DataFrame(schema=EXPLANATION_SCHEMA)
    chosen = frame[rows]
    matrix = detector.encoder.encode(chosen)
    _, supervised, _, novelty = detector.surprises(matrix)
    by_labels = supervised_shares(detector, matrix) * supervised[:, None]
    by_novelty = shared_by_feature(detector.novelty.model.column_errors(matrix), detector.encoder) * novelty[:, None]
    total = by_labels + by_novelty
    order = np.argsort(-total, axis=1, kind="stable")[:, :top]
    names = detector.encoder.features
    texts = {name: as_texts(chosen[name]).to_list() for name in names if name in chosen.columns}
    records: list[dict[str, Any]] = [
        {
            "row": rows[at],
            "rank": rank,
            "feature": names[feature],
            "value": texts[names[feature]][at] if names[feature] in texts else None,
            "usual": detector.usual[names[feature]].describe(),
            "usual_low": detector.usual[names[feature]].low,
            "usual_high": detector.usual[names[feature]].high,
            "contribution": total[at, feature],
            "supervised_contribution": by_labels[at, feature] if detector.supervised is not None else None,
            "novelty_contribution": by_novelty[at, feature],
        }
        for at in range(len(rows))
        for rank, feature in enumerate(order[at], start=1)
    ]
    return pl.DataFrame(records, schema=EXPLANATION_SCHEMA)


def feature_importance(detector: Detector) -> pl.DataFrame:
    """Sum the booster's gain by feature (see `Detector.feature_importance`)."""
    schema = {"feature": pl.String(), "importance": pl.Float64()}
    if detector.supervised is None:
        return pl.DataFrame(schema=schema)
    gains = detector.supervised.live.get_score(importance_type="total_gain")
    names, sources = detector.encoder.features, detector.encoder.sources
    summed = np.zeros(len(names))
    for column, gain in gains.items():  # XGBoost calls its columns f0, f1, ...
        summed[sources[int(column[1:])]] += gain
    shares = summed / max(summed.sum(), 1e-300)
    return pl.DataFrame({"feature": names, "importance": shares}, schema=schema).sort(
        ["importance", "feature"], descending=[True, False]
    )


def as_texts(values: pl.Series) -> pl.Series:
    """Return a feature's values as an analyst reads them, cut where they are long; null where they are missing.

    >>> as_texts(pl.Series([0.1 + 0.2, 1e9, None])).to_list(), as_texts(pl.Series([7, None])).to_list()
    (['0.3', '1e+09', None], ['7', None])
    """
    if values.dtype.is_float():
        texts = [None if value is None else f"{value:.6g}" for value in values.to_list()]
        return pl.Series(values.name, texts, dtype=pl.String)
    if values.dtype == pl.Boolean:
        return values.replace_strict([True, False], ["True", "False"], default=None, return_dtype=pl.String)
    return values.cast(pl.String).str.head(LONGEST_VALUE)
