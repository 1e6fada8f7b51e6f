"""Both sides of a split as the leakage audit's own models see them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.evaluation.matrix import Encoder
from cybersec_mlops.evaluation.probe import Matrix
from cybersec_mlops.evaluation.ranking import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class Side:
    """Labelled rows of one side of the split."""

    rows: Matrix
    attack: BoolArray
    kind: IntArray
    """A number for each kind of row: benign, and every attack by the finest name that still has several rows."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Labelled samples of both sides as matrices of the same columns."""

    columns: tuple[str, ...]
    train: Side
    test: Side

    @classmethod
    def of(cls, train: pl.DataFrame, test: pl.DataFrame, features: Sequence[str]) -> Sides:
        """Encode labelled rows; columns that the training rows lack are left out."""
        encoder = Encoder.fit(train, [name for name in features if name in train.columns])
        return cls(encoder.features, *(_side(encoder, frame) for frame in (train, test)))


def _side(encoder: Encoder, frame: pl.DataFrame) -> Side:
    attack = frame["is_attack"].to_numpy().astype(np.bool_)
    return Side(encoder.encode(frame), attack, _kinds(frame, attack))


def _kinds(frame: pl.DataFrame, attack: BoolArray) -> IntArray:
    """Number the kinds of rows by the finest of the source's names that are names and not texts of single rows."""
    for name in ("label_original", "label"):
        if name not in frame.columns:
            continue
        kinds = frame.select(pl.struct("is_attack", name).rank("dense")).to_series().to_numpy().astype(np.int64)
        if all(2 * np.unique(kinds[group]).size <= group.sum() for group in (attack, ~attack)):
            return kinds
    return attack.astype(np.int64)


def is_computed(column: str) -> bool:
    """Say whether this package computes a column from others, so that the maker of a table cannot have filled it.

    >>> is_computed("orig_conns_60s"), is_computed("bytes_per_s"), is_computed("duration_s")
    (True, True, False)
    """
    from cybersec_mlops.transformation.derived import DERIVED_SCHEMA

    return column in DERIVED_SCHEMA or is_behaviour(column)


@cache
def is_behaviour(column: str) -> bool:
    """Say whether a column counts other connections, before this one.

    >>> is_behaviour("orig_conns_60s"), is_behaviour("bytes_per_s")
    (True, False)
    """
    from cybersec_mlops.transformation.behaviour import behaviour_schema

    window = re.search(r"_(\d+)s$", column)
    return window is not None and column in behaviour_schema((int(window[1]),))


def is_canonical(column: str) -> bool:
    """Say whether a column is a connection's own measurement, as any sensor makes it."""
    return column in CONNECTION_SCHEMA
