"""Training against test rows, and benign rows for calibration: never by how well a model does on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.connections import is_feature
from cybersec_mlops.errors import DataError
from cybersec_mlops.training.fingerprint import row_fingerprints, uniform
from cybersec_mlops.training.spec import TrainingSpec

Mask = NDArray[np.bool_]

MOVES = (0.0, *(sign * step / 20 for step in range(1, 13) for sign in (-1, 1)))
"""Where else the boundary in time may go, as shares of the rows, nearest first: it moves only for want of a class."""

MIN_CLASS_ROWS = 20
"""Rows of each class that either side of a split in time needs (a twentieth of the class where that is fewer)."""

CALIBRATION_FLOOR = 300
"""Benign rows wanted for calibration; up to half of the benign rows are taken for it where the share gives fewer."""

MIN_CALIBRATION = 2
"""Benign rows without which there is none for the scales or none for the thresholds."""

CALIBRATION_BLOCKS = 20
"""Stretches of time, spread over the training period, that calibration rows come from."""


@dataclass(frozen=True)
class Split:
    """Rows to train on, rows to test on, and how they were told apart."""

    train: pl.DataFrame
    test: pl.DataFrame
    method: Literal["time", "stratified", "given"]
    boundary: datetime | None = None
    """The first instant of the test period (UTC), where the split is in time."""
    notes: tuple[str, ...] = field(default=())
    """What a reader should know: a moved boundary, rows without time."""

    def describe(self) -> dict[str, object]:
        """Return the JSON form: method, boundary, rows on each side, notes."""
        return {
            "method": self.method,
            "boundary": None if self.boundary is None else self.boundary.isoformat(),
            "train_rows": self.train.height,
            "test_rows": self.test.height,
            "notes": list(self.notes),
        }


def split(frame: pl.DataFrame, spec: TrainingSpec) -> Split:
    """Hold out test rows: the latest ones where the rows have time, else a share of every label.

    Parameters
    ----------
    frame : DataFrame
        SILVER rows. Their order plays no part in which side a row falls on.
    spec : TrainingSpec
        `split`, `test_fraction` and `seed` count.

    Returns
    -------
    Split
        In time: all rows of one instant on one side, rows without time in train. Stratified: rows with identical
        features on one side.

    Raises
    ------
    DataError
        When no boundary in time leaves both classes on both sides, or there are too few different rows to split.
    """
    if frame.height < 2:
        raise DataError(
            f"{frame.height} rows cannot be split into train and test, expected at least 2",
            hint="add logs, or name what to evaluate on with --test",
        )
    timed = frame.height - frame["ts"].null_count() if "ts" in frame.columns else 0
    if spec.split == "time" and timed == 0:
        raise DataError(
            "no row has a time, so a split in time is not possible", hint="set split = 'stratified'", field="ts"
        )
    if spec.split == "time" or (spec.split == "auto" and 2 * timed >= frame.height):
        return _by_time(frame, spec)
    return _stratified(frame, spec)


def carve_calibration(train: pl.DataFrame, spec: TrainingSpec) -> Mask:
    """Choose the benign rows that no fitted part may see; identical rows stay together where there is no time.

    Rows with time are taken as whole stretches spread over the training period, so that neighbours of a calibration
    row are mostly calibration rows too; a random draw puts a part of each burst into the fit. (Measured on the earlier
    part of strato-008, CTU botnet 4 and CICIDS2017 Monday to Wednesday: achieved over nominal rate at 1 % on the
    later part was 1.0 on average for 20 stretches, 1.2 for a random draw, 0.8 for the last part alone, which costs
    the fit the newest rows; single runs spread from 0 to 6, so no way is better beyond noise.) Where no row has a
    label, all count as benign.

    Returns
    -------
    ndarray of bool, shape (rows,)
        True for calibration rows.

    Raises
    ------
    DataError
        The benign rows are so alike that they cannot be told apart into rows to learn from and rows to set aside.
    """
    benign = benign_mask(train)
    rows = int(benign.sum())
    wanted = min(max(spec.calibration_fraction * rows, CALIBRATION_FLOOR), rows / 2) / max(rows, 1)
    fingerprints = row_fingerprints(train, feature_columns(train))
    if "ts" in train.columns and train["ts"].null_count() == 0 and train["ts"].n_unique() > 2 * CALIBRATION_BLOCKS:
        position = _rank_in_time(train, benign)
        phase = (position * CALIBRATION_BLOCKS) % 1.0
        chosen = benign & (phase >= 1.0 - wanted)
    else:
        chosen = benign & (uniform(fingerprints, spec.seed + 1) < wanted)
    if rows and not MIN_CALIBRATION <= int(chosen.sum()) < rows:
        different = np.unique(fingerprints[benign]).size
        raise DataError(
            f"the {rows} benign training rows have {different} different values, too few to set some aside for the "
            "thresholds",
            hint="add benign traffic, or rows with time",
        )
    return chosen


def benign_mask(frame: pl.DataFrame) -> Mask:
    """Say which rows count as benign: those labelled so, or all of them where no row has a label."""
    if not has_labels(frame):
        return np.ones(frame.height, dtype=np.bool_)
    return (~frame["is_attack"]).fill_null(False).to_numpy()


def has_labels(frame: pl.DataFrame) -> bool:
    """Say whether any row is labelled benign or attack."""
    return "is_attack" in frame.columns and frame["is_attack"].null_count() < frame.height


def feature_columns(frame: pl.DataFrame) -> list[str]:
    """Name the columns of a frame that a model may see, in alphabetical order."""
    return sorted(column for column in frame.columns if is_feature(column))


def _by_time(frame: pl.DataFrame, spec: TrainingSpec) -> Split:
    times = frame["ts"].drop_nulls().sort()
    notes = []
    if missing := frame.height - times.len():
        notes.append(f"{missing} rows without time are in the training part")
    for move in MOVES:
        share = 1 - spec.test_fraction + move
        if not 0.05 <= share <= 0.95:
            continue
        boundary = times[min(round(share * times.len()), times.len() - 1)]
        later = (pl.col("ts") >= boundary).fill_null(False)
        train, test = frame.filter(~later), frame.filter(later)
        if train.height and test.height and _classes_on_both(frame, train, test):
            if move:
                notes.append(
                    f"the boundary moved for want of a class, from {1 - spec.test_fraction:.0%} to {share:.0%} of rows"
                )
            return Split(train, test, "time", boundary, tuple(notes))
    raise DataError(
        "no boundary in time leaves benign and attack rows on both sides"
        if has_labels(frame)
        else "all rows have the same time, so there is no earlier and later part",
        field="ts",
        hint="give later traffic with --test, or set split = 'stratified'",
    )


def _classes_on_both(frame: pl.DataFrame, *sides: pl.DataFrame) -> bool:
    for is_attack in (True, False):
        total = _count(frame, is_attack)
        enough = min(MIN_CLASS_ROWS, max(1, total // 20))
        if total and any(_count(side, is_attack) < enough for side in sides):
            return False
    return True


def _count(frame: pl.DataFrame, is_attack: bool) -> int:
    return int((frame["is_attack"] == is_attack).sum()) if "is_attack" in frame.columns else 0


def _stratified(frame: pl.DataFrame, spec: TrainingSpec) -> Split:
    fingerprints = row_fingerprints(frame, feature_columns(frame))
    labels = frame["label"].fill_null("") if "label" in frame.columns else pl.Series("label", [""] * frame.height)
    groups = (
        pl.DataFrame({"group": fingerprints, "label": labels})
        .group_by("group")
        .agg(pl.len().alias("rows"), pl.col("label").min())
        .with_columns(draw=pl.col("group").map_batches(lambda s: _draws(s, spec.seed), return_dtype=pl.Float64))
        .sort("label", "draw", "group")
    )
    chosen = [
        group
        for part in groups.partition_by("label", maintain_order=True)
        for group in _take(part["group"].to_list(), part["rows"].to_list(), spec.test_fraction)
    ]
    test = np.isin(fingerprints, np.array(chosen, dtype=np.uint64))
    if not test.any() or test.all():
        raise DataError(
            f"the {frame.height} rows have too few different feature values to be split",
            hint="give test rows with --test",
        )
    return Split(frame.filter(pl.Series(~test)), frame.filter(pl.Series(test)), "stratified")


def _draws(fingerprints: pl.Series, seed: int) -> pl.Series:
    return pl.Series(uniform(fingerprints.to_numpy(), seed))


def _take(groups: list[int], rows: list[int], share: float) -> list[int]:
    """Choose groups, in their drawn order, to about a share of the rows: at least one, and not all."""
    chosen, taken, wanted = [], 0, share * sum(rows)
    for group, size in zip(groups, rows, strict=True):
        if taken + size / 2 <= wanted:
            chosen.append(group)
            taken += size
    if len(groups) > 1 and not chosen:
        return [groups[rows.index(min(rows))]]
    return chosen if len(chosen) < len(groups) else chosen[:-1]


def _rank_in_time(frame: pl.DataFrame, benign: Mask) -> NDArray[np.float64]:
    """Return each row's place in time among the benign rows, in [0, 1); rows of one instant share theirs."""
    times = frame["ts"].cast(pl.Int64).to_numpy()
    ordered = np.sort(times[benign])
    return np.searchsorted(ordered, times, side="left") / max(ordered.size, 1)
