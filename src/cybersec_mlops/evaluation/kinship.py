"""Whether a column has anything to do with the other columns, apart from the label.

An honest measurement of traffic goes with others: within benign rows, and within the rows of one attack, long
connections carry more bytes, and services have their states. A copy of the label has no such kin. Disguised, noisy or
with an attack's name in it, it says the label and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.evaluation.probe import Matrix
from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, IntArray
from cybersec_mlops.evaluation.sides import Side, is_canonical, is_computed

KIN: Final = 0.1
"""Rank correlation, within kinds of rows, that makes two columns kin; less for a column of few different values.
Measured on all collections at hand, an honest column with a ROC-AUC above 0.6 alone has 0.25 or more."""
CHANCE: Final = 4.5
"""Standard deviations that chance does not reach, among a hundred columns."""
SAME: Final = 0.999
"""Two columns of this rank correlation are one column."""
ENOUGH: Final = 900
"""Rows of a class, beyond one for each kind, with which chance stays well below honest kinship."""
SOME: Final = 30
"""Rows with which kinship may be seen, though its absence says nothing."""
MOSTLY: Final = 0.5
TIGHT: Final = 0.01
DIFFER: Final = 0.4
"""Of the shares of unset rows in the classes: a ROC-AUC of 0.7."""


@dataclass(frozen=True, slots=True)
class Kinship:
    """What one column has in common with the others, within kinds of rows of one side."""

    is_copy: bool
    """It has one value for each kind of rows."""
    is_set_by_kind: bool
    """It is unset in all rows of some kinds, and in no row of the others."""
    is_tight: bool
    """It has, in effect, one value for each class: a thousand small differences, and one large one between them."""
    is_alone: bool
    """It varies within kinds of rows, and goes with no other column."""
    closest: float
    """The largest rank correlation with another column within the kinds of a class."""


def measure_kinship(side: Side, columns: Sequence[str]) -> list[Kinship]:
    """Compare every column with all others, within benign rows and within each kind of attack.

    Columns that this package computes from a canonical one are no independent witness for it, and neither are columns
    of the same order as itself. Where most of the columns that a table brings have no kin among each other, its rows
    were made column by column, and standing alone means nothing: then no column is called alone.
    """
    parts = [_Part.of(side.rows[group], side.kind[group]) for group in (~side.attack, side.attack)]
    ours = np.array([is_computed(name) for name in columns], dtype=np.bool_)
    closest, related = np.zeros(len(columns)), np.zeros(len(columns), dtype=np.bool_)
    brought, judged = related.copy(), related.copy()
    for part in parts:
        for place, name in enumerate(columns):
            if not part.varies[place] or part.freedom < SOME:
                continue
            others = np.abs(part.likeness[place])
            others = np.where(others >= SAME, 0.0, others)
            mine = others[~ours] if is_canonical(name) else others
            limit = max(KIN * part.reach[place], CHANCE / np.sqrt(part.freedom))
            closest[place] = max(closest[place], mine.max(initial=0.0))
            related[place] |= bool(mine.max(initial=0.0) >= limit)
            brought[place] |= bool(others[~ours].max(initial=0.0) >= limit)
        judged |= part.varies & (part.freedom >= ENOUGH)
    whole = judged & ~ours
    has_structure = bool(whole.any()) and float(brought[whole].mean()) >= MOSTLY
    constant = ~np.logical_or.reduce([part.varies for part in parts])
    unset = _unset_by_kind(side)
    return [
        Kinship(
            is_copy=bool(constant[place]),
            is_set_by_kind=bool(unset[place]),
            is_tight=_is_tight(side.rows[:, place], side.attack),
            is_alone=bool(has_structure and judged[place] and not related[place]),
            closest=float(closest[place]),
        )
        for place in range(len(columns))
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one class: how columns vary together within its kinds."""

    likeness: FloatArray
    varies: BoolArray
    reach: FloatArray
    """The largest rank correlation that a column's ties permit."""
    freedom: int

    @classmethod
    def of(cls, rows: Matrix, kind: IntArray) -> _Part:
        frame = pl.DataFrame(rows, schema=[f"{place}" for place in range(rows.shape[1])]).with_columns(
            pl.Series("kind", kind)
        )
        rank = (pl.all().exclude("kind").rank() / pl.len() - (pl.len() + 1) / (2 * pl.len())).over("kind")
        ranks = frame.select(rank).to_numpy().astype(np.float64)
        spread = np.sqrt((ranks * ranks).sum(axis=0))
        varies = spread > 1e-9
        scaled = ranks / np.where(varies, spread, 1.0)
        likeness = scaled.T @ scaled
        np.fill_diagonal(likeness, 0.0)
        reach = spread * np.sqrt(12.0 / max(kind.size, 1))
        return cls(likeness, varies, reach, int(kind.size - np.unique(kind).size))


def _unset_by_kind(side: Side) -> BoolArray:
    """Say of each column whether every kind has it always or never, and the classes differ by that."""
    unset = np.isnan(side.rows)
    order = np.argsort(side.kind, kind="stable")
    _, first, rows = np.unique(side.kind[order], return_index=True, return_counts=True)
    counts = np.add.reduceat(unset[order].astype(np.int64), first, axis=0)
    pure = ((counts == 0) | (counts == rows[:, None])).all(axis=0)
    differ = np.abs(unset[side.attack].mean(axis=0) - unset[~side.attack].mean(axis=0))
    result: BoolArray = pure & (differ >= DIFFER)
    return result


def _is_tight(column: Matrix, attack: BoolArray) -> bool:
    classes = [column[group] for group in (attack, ~attack)]
    if np.isnan(column).any() or any(not one.size for one in classes):
        return False
    return max(float(np.ptp(one)) for one in classes) <= TIGHT * float(np.ptp(column))
