"""Why alerts are alerts, for many of them at once.

The shares are those of `training.explanation`, but for one thing: the supervised part is shared out by the path that a
row takes through each tree (Saabas 2014, XGBoost's ``approx_contribs``) instead of by Tree SHAP, which costs 60 times
as much and would take longer than the scoring itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.scoring.json_text import array, json_values, record
from cybersec_mlops.training.detector import Detector, shared_by_feature, supervised_shares
from cybersec_mlops.training.explanation import as_texts

REASON: Final = pl.Struct(
    {"feature": pl.String(), "value": pl.String(), "usual": pl.String(), "contribution": pl.Float64()}
)
"""One feature of one alert: its value as text (null where missing), what is usual, and its part of the score (nats)."""
DECIMALS: Final = 6


@dataclass(frozen=True)
class Explained:
    """The weightiest features of some rows, the same number for each row."""

    rows: int
    table: pl.DataFrame
    """The fields of `REASON` as columns: the reasons of the first row, then those of the second, and so on."""

    @property
    def width(self) -> int:
        """Reasons of each row."""
        return self.table.height // max(self.rows, 1)

    def series(self) -> pl.Series:
        """Return it as a column of lists of `REASON`."""
        if not self.width:
            return pl.Series("explanation", [[]] * self.rows, dtype=pl.List(REASON))
        return self.table.to_struct("explanation").reshape((self.rows, self.width)).arr.to_list()

    def json(self) -> pl.Series:
        """Return it as JSON, row by row; a value that is missing is left out, null where there is no reason."""
        told = json_values(self.table)
        one = told.select(
            record({name: pl.col(name) for name in ("feature", "usual", "contribution", "value")}, filled=True)
        )
        return self._by_row(one.to_series(), array)

    def phrases(self, most: int) -> pl.Series:
        """Return the first reasons of each row as a message ends with them."""
        texts = pl.format("{} {} (usual {})", "feature", pl.col("value").fill_null("missing"), "usual")

        def joined(parts: list[pl.Expr]) -> pl.Expr:
            return pl.concat_str([pl.lit(": "), pl.concat_str(parts, separator="; ")])

        return self._by_row(self.table.select(texts).to_series(), lambda parts: joined(parts[:most])).fill_null("")

    def _by_row(self, texts: pl.Series, join: Callable[[list[pl.Expr]], pl.Expr]) -> pl.Series:
        if not self.width:
            return pl.Series([None] * self.rows, dtype=pl.String)
        places = [texts.gather_every(self.width, place).alias(str(place)) for place in range(self.width)]
        return pl.DataFrame(places).select(join([pl.col(one.name) for one in places])).to_series()


def explain_rows(detector: Detector, rows: pl.DataFrame, top: int) -> Explained:
    """Find the features that made each row suspicious, the weightiest first.

    Parameters
    ----------
    detector : Detector
    rows : DataFrame
        With every feature of the detector, and its scores.
    top : int
        Features per row; fewer where the detector has fewer.
    """
    names = detector.encoder.features
    if top == 0 or rows.is_empty():
        return Explained(rows.height, pl.DataFrame(schema=dict(REASON)))
    matrix = detector.encoder.encode(rows)
    supervised, novelty = detector.parts(rows)
    total = supervised_shares(detector, matrix, exact=False) * supervised[:, None]
    total += shared_by_feature(detector.novelty.model.column_errors(matrix), detector.encoder) * novelty[:, None]
    order = weightiest(total, top)
    weights = np.take_along_axis(total, order, axis=1).round(DECIMALS)
    chosen = order.reshape(-1)
    columns = {
        "feature": pl.Series(names, dtype=pl.String)[chosen],
        "value": _values(rows, names, order),
        "usual": pl.Series([detector.usual[name].describe() for name in names], dtype=pl.String)[chosen],
        "contribution": weights.reshape(-1),
    }
    return Explained(rows.height, pl.DataFrame(columns, schema=dict(REASON)))


def weightiest(shares: NDArray[np.float64], top: int) -> NDArray[np.int64]:
    """Return the places of the largest shares of each row, largest first, of equal ones the first.

    As a stable sort would give them, which takes eight times as long where few of many are wanted.

    >>> weightiest(np.array([[0.1, 0.5, 0.4, 0.5]]), 3).tolist()
    [[1, 3, 2]]

    Parameters
    ----------
    shares : ndarray of float64, shape (rows, features)
    top : int
        How many; fewer where there are fewer features.

    Returns
    -------
    ndarray of int64, shape (rows, min(top, features))
    """
    left, rows = shares.copy(), np.arange(len(shares))
    found = np.empty((len(shares), min(top, shares.shape[1])), dtype=np.int64)
    for place in range(found.shape[1]):
        found[:, place] = left.argmax(axis=1)
        left[rows, found[:, place]] = -np.inf
    return found


def _values(rows: pl.DataFrame, names: tuple[str, ...], order: NDArray[np.int64]) -> pl.Series:
    """Return the values of the chosen features as text, row by row."""
    chosen = order.reshape(-1)
    places = np.argsort(chosen.astype(np.uint16), kind="stable")  # sixteen bits: a radix sort
    found, starts = np.unique(chosen[places], return_index=True)
    parts = np.split(places, starts[1:])
    texts = [
        as_texts(rows[names[feature]].gather(at // order.shape[1])) for feature, at in zip(found, parts, strict=True)
    ]
    back = np.empty_like(places)
    back[places] = np.arange(places.size)
    return pl.concat(texts).gather(back)
