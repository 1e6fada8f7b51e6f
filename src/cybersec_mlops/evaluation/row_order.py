"""Columns that follow the order of the rows: row numbers, ids that count up, times in disguise.

In a laboratory attacks come in stretches, so that the place of a row in its file gives the label away. Within benign
rows a measurement jumps from row to row; a counter or a clock creeps (von Neumann 1941, on ranks: 2 for values in no
order, near 0 for a steady course; an honest column of the collections at hand has 0.25 or more).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.sides import is_computed
from cybersec_mlops.evaluation.single_features import TELLS, Strength

CREEPS: Final = 0.05
ENOUGH: Final = 200
ORDERS: Final = (("raw_sha256", "raw_line"), ("ts",))


def check_row_order(samples: Iterable[pl.DataFrame], strengths: Iterable[Strength]) -> list[Finding]:
    """Look, among the columns that tell the classes apart on some side, for those that number or date the rows.

    Parameters
    ----------
    samples : iterable of DataFrame
        Labelled rows of the training and of the test side.
    strengths : iterable of Strength
        Every column alone.
    """
    benign = [rows.filter(~pl.col("is_attack")) for rows in samples]
    benign = [rows for rows in benign if rows.height >= ENOUGH]
    found = []
    for one in strengths:
        name = one.column
        if is_computed(name) or max(one.train.auc, one.test.auc) < TELLS:
            continue
        sides = [rows for rows in benign if name in rows.columns and rows.schema[name].is_numeric()]
        courses = [value for rows in sides for value in _courses(rows, name)]
        if courses and min(courses) < CREEPS:
            text = f"{name} follows the order of the rows, as a row number or a time does, and tells the classes apart."
            found.append(Finding("identifier", "severe", (name,), min(courses), CREEPS, text))
        elif sides and all(_numbers_rows(rows[name]) for rows in sides):
            text = f"{name} is another whole number in every row, as an identifier is, and tells the classes apart."
            found.append(Finding("identifier", "severe", (name,), 1.0, 1.0, text))
    return found


def _courses(rows: pl.DataFrame, name: str) -> list[float]:
    """Return the mean squared step between neighbours over the variance, of ranks, in every order that is known."""
    found = []
    for order in ORDERS:
        if not set(order) <= set(rows.columns) or rows[order[-1]].null_count():
            continue
        ranks = rows.sort(order)[name].cast(pl.Float64).fill_null(float("-inf")).rank().to_numpy()
        spread = float(((ranks - ranks.mean()) ** 2).sum())
        if spread > 0:
            found.append(float((np.diff(ranks) ** 2).sum()) / spread)
    return found


def _numbers_rows(column: pl.Series) -> bool:
    if column.null_count() or column.n_unique() < column.len():
        return False
    return column.dtype.is_integer() or bool((column == column.round()).all())
