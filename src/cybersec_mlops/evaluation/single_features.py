"""Single features that give the labels away.

An honest feature may be strong; a leak is strong in ways that behaviour is not. Measured on KDDTrain+, the UNSW-NB15
partition and the improved CICIDS2017 sample, the strongest honest feature has a ROC-AUC of 0.986, and none detects all
kinds of attack alike: the lowest recall among the kinds, minus the false-positive rate at the same cut, stays below
0.69 (0.85 for the initial window of CICIDS2017, a known shortcut). Three signs are therefore looked for, each on
held-out training rows and again on the test rows:

- *separates*: a column that is not computed from the traffic's behaviour ranks almost without error;
- *finds every kind*: one cut detects every kind of attack, of three or more, at few false positives;
- *beats all others*: the feature alone ranks better than a model of all the other features, or almost without error
  where no other feature alone comes near.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.evaluation.bootstrap import wilson
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.matrix import single_feature_score
from cybersec_mlops.evaluation.probe import Matrix, transfer_auc
from cybersec_mlops.evaluation.ranking import BoolArray, Ranking, roc_auc
from cybersec_mlops.evaluation.text import number

SEPARATES: Final = 0.999
STRONG: Final = 0.99
EVERY_KIND: Final = 0.8
MEASURED_EVERY_KIND: Final = 0.9
"""The same for a column that is measured from the traffic: in small draws of KDDTrain+ an honest one reaches 0.81."""
MARGIN: Final = 0.01
CANDIDATE: Final = 0.8
NEAR: Final = 0.95
COPY: Final = 0.999
MIN_KINDS: Final = 3
MIN_KIND_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Sides:
    """Labelled samples of both sides as matrices of the same columns."""

    columns: tuple[str, ...]
    train: Matrix
    train_attack: BoolArray
    test: Matrix
    test_attack: BoolArray
    test_label: pl.Series


@dataclass(frozen=True, slots=True)
class Strength:
    """How well one column ranks alone."""

    column: str
    train_auc: float
    """On training rows that its bins were not fitted on."""
    test_auc: float
    every_kind: float | None
    """On test rows, the lowest recall that a kind of attack may have (upper bound, at most the mean over the kinds),
    minus the false-positive rate; None with few kinds."""

    @property
    def auc(self) -> float:
        """The smaller of the two."""
        return min(self.train_auc, self.test_auc)


def measure_strengths(sides: Sides) -> list[Strength]:
    """Measure every column alone, the strongest first."""
    found = [_strength(sides, place) for place in range(len(sides.columns))]
    return sorted(found, key=lambda one: (-one.auc, one.column))


def check_single_features(sides: Sides, strengths: list[Strength], seed: int) -> list[Finding]:
    """Look for the three signs of a leak, and name the strongest feature otherwise."""
    found = [finding for strength in strengths for finding in [_judge(strength)] if finding is not None]
    found += _easy(strengths, {column for finding in found for column in finding.columns})
    flagged = {column for finding in found if finding.severity == "severe" for column in finding.columns}
    if strengths and strengths[0].auc >= CANDIDATE and strengths[0].column not in flagged:
        found += _beats_all_others(sides, strengths, seed)
    if not found and strengths:
        best = strengths[0]
        text = f"No single feature separates the classes alone; the strongest is {best.column}."
        found = [Finding("single_feature", "info", (best.column,), best.auc, SEPARATES, text)]
    return found


def _judge(strength: Strength) -> Finding | None:
    column, auc, kinds = strength.column, strength.auc, strength.every_kind
    enough = MEASURED_EVERY_KIND if is_behavioural(column) else EVERY_KIND
    if kinds is not None and kinds >= enough:
        text = f"{column} alone detects every kind of attack at few false positives, as only a copy of the label would."
        return Finding("single_feature", "severe", (column,), kinds, enough, text)
    if auc >= SEPARATES and not is_behavioural(column):
        text = (
            f"{column} alone separates attacks from benign rows almost without error, in training and in the test set."
        )
        return Finding("single_feature", "severe", (column,), auc, SEPARATES, text)
    if strength.train_auc >= SEPARATES and not is_behavioural(column):
        text = f"{column} alone separates the training rows almost without error, but not the test rows."
        return Finding("single_feature", "warning", (column,), strength.train_auc, SEPARATES, text)
    return None


def _easy(strengths: list[Strength], named: set[str]) -> list[Finding]:
    """Name the features that are strong without the signs of a leak, in one finding."""
    strong = tuple(one.column for one in strengths if one.auc >= STRONG and one.column not in named)
    if not strong:
        return []
    listed = ", ".join(strong[:5]) + (f" and {len(strong) - 5} more" if len(strong) > 5 else "")
    how = "ranks" if len(strong) == 1 else "each rank"
    text = (
        f"{listed} {how} attacks above benign rows almost without error, alone: these attacks are easy to tell, or the "
        "data was made so that they are. Expect worse elsewhere."
    )
    return [Finding("single_feature", "warning", strong, max(one.auc for one in strengths), STRONG, text)]


def _beats_all_others(sides: Sides, strengths: list[Strength], seed: int) -> list[Finding]:
    best = strengths[0]
    copies = _copies(sides, best.column)
    rest = [place for place, column in enumerate(sides.columns) if column not in copies]
    if not rest:
        return []
    half = np.arange(sides.train_attack.size) % 2 == 0
    train, attack = sides.train[:, rest], sides.train_attack
    within = transfer_auc(train[half], attack[half], train[~half], attack[~half], seed)
    across = transfer_auc(train, attack, sides.test[:, rest], sides.test_attack, seed)
    lead = min(best.train_auc - within, best.test_auc - across)
    runner_up = max(one.auc for one in strengths if one.column not in copies)
    if best.auc >= SEPARATES and runner_up < NEAR:
        text = (
            f"{best.column} alone (ROC-AUC {number(best.auc)}) separates the classes almost without error, and no "
            f"other feature alone comes near ({number(runner_up)})."
        )
        return [Finding("single_feature", "severe", tuple(sorted(copies)), best.auc, SEPARATES, text)]
    if not lead > MARGIN:
        return []
    text = (
        f"{best.column} alone (ROC-AUC {number(best.auc)}) ranks better than a model of all the other features "
        f"({number(within)} within training, {number(across)} on the test set)."
    )
    return [Finding("single_feature", "severe", tuple(sorted(copies)), lead, MARGIN, text)]


def _copies(sides: Sides, column: str) -> set[str]:
    """Return a column and those that are the same up to a monotone change; together they are one feature."""
    ranks = np.argsort(np.argsort(sides.train, axis=0, kind="stable"), axis=0, kind="stable").astype(np.float64)
    ranks -= ranks.mean(axis=0)
    chosen = ranks[:, sides.columns.index(column)]
    likeness = np.abs(chosen @ ranks) / (np.sqrt((chosen @ chosen) * (ranks * ranks).sum(axis=0)) + 1e-12)
    return {column, *(name for name, value in zip(sides.columns, likeness, strict=True) if value >= COPY)}


def _strength(sides: Sides, place: int) -> Strength:
    half = np.arange(sides.train_attack.size) % 2 == 0
    held_out = ~half
    column = sides.train[:, place]
    others = np.concatenate([column[held_out], sides.test[:, place]])
    _, score = single_feature_score(column[half], sides.train_attack[half], others)
    inside, outside = score[: held_out.sum()], score[held_out.sum() :]
    ranking = Ranking.of(sides.train_attack[held_out], inside)
    aucs = [ranking.point(roc_auc), Ranking.of(sides.test_attack, outside).point(roc_auc)]
    train_auc, test_auc = (float("nan") if auc is None else auc for auc in aucs)
    return Strength(sides.columns[place], train_auc, test_auc, _every_kind(sides, outside >= _best_cut(ranking)))


def _best_cut(ranking: Ranking) -> float:
    """Return the score at which recall exceeds the false-positive rate most (Youden 1950)."""
    false, recall = ranking.roc()
    return float(ranking.scores[max(int(np.argmax(recall - false)) - 1, 0)])


def _every_kind(sides: Sides, alert: BoolArray) -> float | None:
    table = pl.DataFrame({"label": sides.test_label, "attack": sides.test_attack, "alert": alert})
    kinds = table.filter("attack").group_by("label").agg(pl.len().alias("rows"), pl.col("alert").sum())
    rare = kinds.filter(pl.col("rows") < MIN_KIND_ROWS).select(pl.lit("rare").alias("label"), "rows", "alert")
    together = rare.group_by("label").agg(pl.col("rows").sum(), pl.col("alert").sum())  # a copy finds these as well
    kinds = pl.concat([kinds, together], how="vertical_relaxed").filter(pl.col("rows") >= MIN_KIND_ROWS)
    if kinds.height < MIN_KINDS or sides.test_attack.all():
        return None
    recalls = [wilson(alerts, rows) for rows, alerts in kinds.select("rows", "alert").iter_rows()]
    lowest = min(float(np.mean([recall.value for recall in recalls])), min(recall.high for recall in recalls))
    return lowest - float(alert[~sides.test_attack].mean())


def univariate_auc(strengths: list[Strength]) -> Mapping[str, float]:
    """Return the ROC-AUC of every column alone, by name."""
    return {one.column: one.auc for one in strengths}


@cache
def is_behavioural(column: str) -> bool:
    """Say whether a column is measured from the traffic by this package, so that its maker cannot have put a label in.

    >>> is_behavioural("duration_s"), is_behavioural("cic_flow_iat_mean_us")
    (True, False)
    """
    from cybersec_mlops.transformation.behaviour import behaviour_schema
    from cybersec_mlops.transformation.derived import DERIVED_SCHEMA

    known = {*CONNECTION_SCHEMA, *DERIVED_SCHEMA, *behaviour_schema((60,))}
    return column in known or re.sub(r"\d+s", "60s", column) in known
