"""Why alerts are alerts, for many of them at once.

The shares are those of `training.explanation`, but for one thing: the supervised part is shared out by the path that a
row takes through each tree (Saabas 2014, XGBoost's ``approx_contribs``) instead of by Tree SHAP, which costs 60 times
as much and would take longer than the scoring itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from cybersec_mlops.training.detector import Detector, shared_by_feature, supervised_shares
from cybersec_mlops.training.explanation import as_text

Reasons = list[dict[str, Any]]


def reasons_of(detector: Detector, rows: pl.DataFrame, top: int) -> list[Reasons]:
    """Return the features that made each row suspicious, the weightiest first.

    Returns
    -------
    list of list of dict
        For every row at most `top` of ``feature``, ``value`` (text, None where missing), ``usual`` (text) and
        ``contribution`` (nats of the score; all features of a row sum to it).
    """
    if top == 0 or rows.is_empty():
        return [[] for _ in range(rows.height)]
    matrix = detector.encoder.encode(rows)
    _, supervised, _, novelty = detector.surprises(matrix)
    total = supervised_shares(detector, matrix, exact=False) * supervised[:, None]
    total += shared_by_feature(detector.novelty.model.column_errors(matrix), detector.encoder) * novelty[:, None]
    order = np.argsort(-total, axis=1, kind="stable")[:, :top]
    weights = np.take_along_axis(total, order, axis=1)
    names = detector.encoder.features
    values = _values(rows, names, order)
    usual = [detector.usual[name].describe() for name in names]
    return [
        [
            {"feature": names[feature], "value": value, "usual": usual[feature], "contribution": weight}
            for feature, value, weight in zip(features, texts, shares, strict=True)
        ]
        for features, texts, shares in zip(order.tolist(), values, weights.round(6).tolist(), strict=True)
    ]


def _values(rows: pl.DataFrame, names: tuple[str, ...], order: np.ndarray[Any, Any]) -> list[list[str | None]]:
    """Return the values of the chosen features as text, in the shape of `order`."""
    texts: list[list[str | None]] = [[None] * order.shape[1] for _ in range(order.shape[0])]
    for feature in np.unique(order).tolist():
        at, places = np.nonzero(order == feature)
        chosen = rows[names[feature]].gather(at).to_list()
        for row, place, value in zip(at.tolist(), places.tolist(), chosen, strict=True):
            texts[row][place] = as_text(value)
    return texts
