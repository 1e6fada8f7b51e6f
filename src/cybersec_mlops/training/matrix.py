"""From rows of any connection format to the matrix that the detectors see, and back to names.

The columns are those of the training rows, in alphabetical order. What a new frame lacks is missing, never zero; a
category that training did not show is ``other``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.connections import is_feature
from cybersec_mlops.errors import DataError

Matrix = NDArray[np.float32]

MAX_MISSING_SHARE: Final = 0.5
"""A frame that lacks more of the features than this is refused: its scores would mean nothing."""

OTHER: Final = "other"
MISSING: Final = "missing"

LONGEST_CATEGORY: Final = 128
"""A longer text never gets a column of its own, so that a hostile log cannot swell the model."""

_FLOAT32_LIMIT: Final = 3.0e38


@dataclass(frozen=True)
class Usual:
    """What benign training rows show in a feature."""

    low: float | None = None
    """5 % of the benign values lie below (numeric features)."""
    high: float | None = None
    """5 % of the benign values lie above."""
    values: tuple[str, ...] = ()
    """The most frequent values, until they cover 90 % (text features)."""

    def describe(self) -> str:
        """Return it as text.

        >>> Usual(0, 12.5).describe(), Usual(values=("SF", "S0")).describe(), Usual().describe()
        ('0 to 12.5', 'SF, S0', 'always missing')
        """
        if self.low is not None and self.high is not None:
            return f"{self.low:.4g} to {self.high:.4g}"
        return ", ".join(self.values) or "always missing"


@dataclass(frozen=True)
class Encoder:
    """The features, in order, and how each becomes columns of the matrix."""

    numeric: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    """Text feature to its own columns' values; ``other`` and ``missing`` follow them."""

    @property
    def features(self) -> tuple[str, ...]:
        """The source columns, in the order of the matrix."""
        return (*self.numeric, *self.categories)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the matrix's columns, e.g. ``duration_s`` or ``conn_state=SF``."""
        one_hot = (f"{name}={value}" for name, values in self.categories.items() for value in (*values, OTHER, MISSING))
        return (*self.numeric, *one_hot)

    @property
    def sources(self) -> NDArray[np.int64]:
        """For every column of the matrix the index of its feature in `features`, shape (columns,)."""
        widths = [1] * len(self.numeric) + [len(values) + 2 for values in self.categories.values()]
        return np.repeat(np.arange(len(widths)), widths)

    def encode(self, frame: pl.DataFrame) -> Matrix:
        """Encode rows.

        Returns
        -------
        ndarray of float32, shape (rows, len(columns)), C order
            NaN where a number is null, not finite or its column is not there.

        Raises
        ------
        DataError
            When too many features are missing, or a column is text where training had numbers.
        """
        self.check(frame)
        matrix = np.empty((frame.height, len(self.columns)), dtype=np.float32)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is seen below
            for index, name in enumerate(self.numeric):
                matrix[:, index] = frame[name].cast(pl.Float64).to_numpy() if name in frame.columns else np.nan
        for index in _columns_beyond(matrix[:, : len(self.numeric)], _FLOAT32_LIMIT):
            matrix[:, index] = _numbers(frame[self.numeric[index]])
        at = len(self.numeric)
        for name, values in self.categories.items():
            width = len(values) + 2
            matrix[:, at : at + width] = _one_hot(frame[name] if name in frame.columns else None, values, frame.height)
            at += width
        return matrix

    def missing_features(self, frame: pl.DataFrame) -> list[str]:
        """Name the features that a frame has no column for, or only nulls in."""
        return [name for name in self.features if name not in frame.columns or frame[name].dtype == pl.Null]

    def check(self, frame: pl.DataFrame) -> None:
        """Refuse a frame that lacks too many features, or has one in another type."""
        missing = self.missing_features(frame)
        if len(missing) > MAX_MISSING_SHARE * len(self.features):
            raise DataError(
                f"{len(missing)} of the model's {len(self.features)} features are not in the data "
                f"({', '.join(missing[:5])}, ...), expected at least {1 - MAX_MISSING_SHARE:.0%} of them",
                hint="score with a model that was trained on this format of log",
            )
        for name in self.features:
            if name in missing:
                continue
            number = kind_of(frame[name].dtype) == "number"
            if number != (name in self.numeric):
                expected, found = ("a number", frame[name].dtype) if not number else ("text", frame[name].dtype)
                raise DataError(f"feature {name} is {found}, expected {expected} as in training", field=name)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"numeric": list(self.numeric), "categories": {name: list(v) for name, v in self.categories.items()}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Encoder:
        """Read the JSON form."""
        return cls(tuple(value["numeric"]), {name: tuple(values) for name, values in value["categories"].items()})


def fit_encoder(
    train: pl.DataFrame, *, categories: int, drop: Mapping[str, str] | None = None
) -> tuple[Encoder, dict[str, str]]:
    """Choose the features of the training rows and learn their categories.

    Parameters
    ----------
    train : DataFrame
        The rows that the detectors are fitted on.
    categories : int
        Values of a text feature that get a column of their own: the most frequent, ties by alphabet.
    drop : mapping of str to str, optional
        Columns that may not be features, with the reason.

    Returns
    -------
    Encoder
    dict of str to str
        The candidate columns that are not features, with the reason.

    Raises
    ------
    DataError
        When nothing is left.
    """
    numeric: list[str] = []
    text: dict[str, tuple[str, ...]] = {}
    dropped: dict[str, str] = {}
    for name in sorted(column for column in train.columns if is_feature(column)):
        column = train[name]
        if reason := (drop or {}).get(name) or _useless(column):
            dropped[name] = reason
        elif kind_of(column.dtype) == "number":
            numeric.append(name)
        else:
            text[name] = _most_frequent(column, categories)
    if not numeric and not text:
        raise DataError(
            f"no usable feature is left of {len(dropped)} columns: each is constant, empty or dropped",
            hint="check the format of the source, and shortcuts and drop_features in the training configuration",
        )
    return Encoder(tuple(numeric), text), dropped


def usual_values(frame: pl.DataFrame, encoder: Encoder) -> dict[str, Usual]:
    """Describe what rows (the benign ones of training) show in every feature."""
    usual = {}
    for name in encoder.numeric:
        numbers = pl.Series(_numbers(frame[name]).astype(np.float64), nan_to_null=True).drop_nulls()
        low, high = numbers.quantile(0.05, "nearest"), numbers.quantile(0.95, "nearest")
        usual[name] = Usual(low, high)
    for name in encoder.categories:
        usual[name] = Usual(values=_covering(frame[name], 0.9))
    return usual


def kind_of(dtype: pl.DataType) -> str:
    """Say whether a column is a ``number``, ``text``, or ``else`` (which is never a feature)."""
    if dtype.is_numeric() or dtype == pl.Boolean:
        return "number"
    return "text" if dtype in (pl.String, pl.Categorical, pl.Enum) else "else"


def _useless(column: pl.Series) -> str | None:
    if kind_of(column.dtype) == "else":
        return f"type {column.dtype}"
    if column.null_count() == column.len():
        return "always missing"
    return "constant" if column.n_unique() < 2 else None


def _numbers(column: pl.Series) -> NDArray[np.float32]:
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    values = np.where(np.isfinite(values), values, np.nan)
    return np.clip(values, -_FLOAT32_LIMIT, _FLOAT32_LIMIT).astype(np.float32)


def _one_hot(column: pl.Series | None, values: tuple[str, ...], rows: int) -> Matrix:
    block = np.zeros((rows, len(values) + 2), dtype=np.float32)
    if column is None or column.dtype == pl.Null:
        block[:, -1] = 1
        return block
    codes = column.cast(pl.String).cast(pl.Enum([*values]), strict=False).to_physical().cast(pl.Int64)
    others = pl.when(column.is_null()).then(len(values) + 1).otherwise(len(values))
    block[np.arange(rows), pl.select(pl.coalesce(codes, others)).to_series().to_numpy()] = 1
    return block


def _columns_beyond(matrix: Matrix, limit: float) -> list[int]:
    """Name the columns that hold a number larger than `limit` either way; there are hardly ever any."""
    if matrix.size == 0 or np.fmax.reduce(np.abs(matrix), axis=None) <= limit:
        return []
    largest = np.fmax.reduce(np.abs(matrix), axis=0)
    return [int(index) for index in np.flatnonzero(largest > limit)]


def _counts(column: pl.Series) -> pl.DataFrame:
    text = column.cast(pl.String).drop_nulls()
    counts = text.filter(text.str.len_bytes() <= LONGEST_CATEGORY).value_counts(name="rows")
    return counts.sort(["rows", column.name], descending=[True, False])


def _most_frequent(column: pl.Series, limit: int) -> tuple[str, ...]:
    return tuple(_counts(column)[column.name].head(limit).to_list())


def _covering(column: pl.Series, share: float) -> tuple[str, ...]:
    counts = _counts(column)
    before = counts["rows"].cum_sum() - counts["rows"]
    return tuple(counts.filter(before < share * int(counts["rows"].sum()))[column.name].head(8).to_list())
