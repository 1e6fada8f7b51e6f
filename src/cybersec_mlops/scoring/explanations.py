"""Why alerts are alerts, for many of them at once.

The shares are those of `training.explanation`, but for one thing: the supervised part is shared out by the path that a
row takes through each tree (Saabas 2014, XGBoost's ``approx_contribs``) instead of by Tree SHAP, which costs 60 times
as much and would take longer than the scoring itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.training.detector import Detector, shared_by_feature, supervised_shares
from cybersec_mlops.training.explanation import as_text

REASON: Final = pl.Struct(
    {"feature": pl.String(), "value": pl.String(), "usual": pl.String(), "contribution": pl.Float64()}
)
"""One feature of one alert: its value as text (null where missing), what is usual, and its part of the score (nats)."""
DECIMALS: Final = 6


@dataclass(frozen=True)
class Explained:
    """The weightiest features of some rows, the same number for each row, column by column."""

    rows: int
    names: tuple[str, ...]
    usual: tuple[str, ...]
    """What benign training rows show in each feature of `names`."""
    order: NDArray[np.int64]
    """Features by weight, shape (rows, reasons)."""
    values: list[list[str | None]]
    contributions: list[list[float]]

    @cached_property
    def reasons(self) -> list[list[dict[str, Any]]]:
        """The same row by row, as JSON; a value that is missing is left out."""
        return [
            [self._reason(*one) for one in zip(features, values, weights, strict=True)]
            for features, values, weights in zip(self.order.tolist(), self.values, self.contributions, strict=True)
        ]

    def _reason(self, feature: int, value: str | None, weight: float) -> dict[str, Any]:
        known = {"feature": self.names[feature], "usual": self.usual[feature], "contribution": weight}
        return known if value is None else {**known, "value": value}

    def series(self) -> pl.Series:
        """Return it as a column of lists of `REASON`."""
        if not self.order.size:
            return pl.Series("explanation", [[]] * self.rows, dtype=pl.List(REASON))
        flat = self.order.reshape(-1)
        columns = {
            "feature": pl.Series(self.names, dtype=pl.String)[flat],
            "value": pl.Series([value for row in self.values for value in row], dtype=pl.String),
            "usual": pl.Series(self.usual, dtype=pl.String)[flat],
            "contribution": pl.Series([weight for row in self.contributions for weight in row], dtype=pl.Float64),
        }
        structs = pl.DataFrame(columns).to_struct("explanation")
        return structs.reshape(self.order.shape).arr.to_list()


def explain_rows(detector: Detector, rows: pl.DataFrame, top: int) -> Explained:
    """Find the features that made each row suspicious, the weightiest first.

    Parameters
    ----------
    detector : Detector
    rows : DataFrame
        With every feature of the detector.
    top : int
        Features per row; fewer where the detector has fewer.
    """
    names = detector.encoder.features
    usual = tuple(detector.usual[name].describe() for name in names)
    if top == 0 or rows.is_empty():
        return Explained(rows.height, names, usual, np.empty((rows.height, 0), np.int64), *_nothing(rows.height))
    matrix = detector.encoder.encode(rows)
    _, supervised, _, novelty = detector.surprises(matrix)
    total = supervised_shares(detector, matrix, exact=False) * supervised[:, None]
    total += shared_by_feature(detector.novelty.model.column_errors(matrix), detector.encoder) * novelty[:, None]
    order = np.argsort(-total, axis=1, kind="stable")[:, :top]
    weights = np.take_along_axis(total, order, axis=1).round(DECIMALS)
    return Explained(rows.height, names, usual, order, _values(rows, names, order), weights.tolist())


def _nothing(rows: int) -> tuple[list[list[str | None]], list[list[float]]]:
    return [[] for _ in range(rows)], [[] for _ in range(rows)]


def _values(rows: pl.DataFrame, names: tuple[str, ...], order: NDArray[np.int64]) -> list[list[str | None]]:
    """Return the values of the chosen features as text, in the shape of `order`."""
    texts = np.empty(order.shape, dtype=np.object_)
    for feature in np.unique(order).tolist():
        at, places = np.nonzero(order == feature)
        texts[at, places] = [as_text(value) for value in rows[names[feature]].gather(at).to_list()]
    found: list[list[str | None]] = texts.tolist()
    return found
