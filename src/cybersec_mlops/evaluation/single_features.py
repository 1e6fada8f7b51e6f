"""Single features that give the labels away.

An honest feature may be strong; a leak is strong in ways that a measurement is not. On each side by itself, so that a
leak in the training rows alone or in the test rows alone is found too, a column that tells the classes apart is severe
where it

- *says the label and nothing else*: it has one value for each kind of rows, or what varies in it goes with no other
  column (`kinship`);
- *makes no mistake*: one cut, or a few values, part the classes on both sides without one error, and nothing else
  that could not be a copy of it does so too;
- *beats all others*: alone it ranks better than a model of all the other features, or almost without error where no
  other comes near.

What this package computes from the traffic itself, and what several columns agree on, is no leak but an easy attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.kinship import SAME, Kinship, measure_kinship
from cybersec_mlops.evaluation.matrix import single_feature_score
from cybersec_mlops.evaluation.probe import transfer_auc
from cybersec_mlops.evaluation.ranking import BoolArray, Ranking, roc_auc
from cybersec_mlops.evaluation.sides import Side, Sides, is_behaviour, is_canonical, is_computed
from cybersec_mlops.evaluation.text import number

TELLS: Final = 0.7
"""ROC-AUC from which a column that says nothing else is a leak: labels with a fifth of them wrong reach 0.8."""
SEPARATES: Final = 0.999
STRONG: Final = 0.99
MARGIN: Final = 0.01
CANDIDATE: Final = 0.8
NEAR: Final = 0.95
FEW_VALUES: Final = 64

Column = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alone:
    """What one column does on one side, by itself."""

    auc: float
    """On the half of the rows that its bins were not fitted on; mean of both halves."""
    is_exact: bool
    """One cut, or its few values, part the classes without an error."""
    kinship: Kinship


@dataclass(frozen=True, slots=True)
class Strength:
    """How well one column ranks alone."""

    column: str
    train: Alone
    test: Alone
    transfer: float
    """ROC-AUC on the test rows of bins fitted to training rows."""

    @property
    def auc(self) -> float:
        """The smaller of that within training and that on the test rows."""
        return min(self.train.auc, self.transfer)

    @property
    def is_exact(self) -> bool:
        """Whether it parts the classes on both sides, and alike."""
        return self.train.is_exact and self.test.is_exact and self.transfer >= SEPARATES


def measure_strengths(sides: Sides) -> list[Strength]:
    """Measure every column alone, the strongest first."""
    kin = [measure_kinship(side, sides.columns) for side in (sides.train, sides.test)]
    found = []
    for place, name in enumerate(sides.columns):
        train, test = (_alone(side, place, kin[i][place]) for i, side in enumerate((sides.train, sides.test)))
        found.append(Strength(name, train, test, _transfer(sides, place)))
    return sorted(found, key=lambda one: (-one.auc, one.column))


def check_single_features(sides: Sides, strengths: list[Strength], seed: int) -> list[Finding]:
    """Look for the signs of a leak, and name the strongest feature otherwise."""
    found = [finding for one in strengths for finding in _judge(sides, one, strengths)]
    found += _easy(strengths, {column for finding in found for column in finding.columns})
    flagged = {column for finding in found if finding.severity == "severe" for column in finding.columns}
    ours = [one for one in strengths if not is_computed(one.column)]
    if ours and ours[0].auc >= CANDIDATE and ours[0].column not in flagged:
        found += _beats_all_others(sides, ours[0], strengths, seed)
    if not found and strengths:
        best = strengths[0]
        text = f"No single feature separates the classes alone; the strongest is {best.column}."
        found = [Finding("single_feature", "info", (best.column,), best.auc, SEPARATES, text)]
    return found


def _judge(sides: Sides, one: Strength, strengths: Sequence[Strength]) -> list[Finding]:
    name, measured = one.column, is_canonical(one.column) or is_computed(one.column)
    tells = {"training": one.train, "test": one.test}
    says = {side: alone for side, alone in tells.items() if alone.auc >= TELLS and _says_only(alone, measured)}
    honest = measured and _is_plain(says) and (len(says) < 2 or _others_part_too(sides, one, strengths))
    if says and not honest:
        auc = max(alone.auc for alone in says.values())
        where = "" if len(says) == 2 else f" in the {next(iter(says))} rows"
        text = f"{name} tells attacks from benign rows{where} (ROC-AUC {number(auc)}) and nothing else: {_how(says)}."
        return [Finding("single_feature", "severe", (name,), auc, TELLS, text)]
    if one.is_exact and not is_computed(name) and not _others_part_too(sides, one, strengths):
        text = f"{name} alone parts attacks from benign rows without one error, in training and in the test set."
        return [Finding("single_feature", "severe", (name,), one.auc, SEPARATES, text)]
    if one.train.auc >= SEPARATES > STRONG > one.transfer and not is_computed(name):
        text = f"{name} alone separates the training rows almost without error, but not the test rows."
        return [Finding("single_feature", "warning", (name,), one.train.auc, SEPARATES, text)]
    return []


def _says_only(alone: Alone, measured: bool) -> bool:
    kin = alone.kinship
    return kin.is_alone or kin.is_copy or kin.is_tight or (kin.is_set_by_kind and not measured)


def _is_plain(says: dict[str, Alone]) -> bool:
    """Say whether it has but one value for each kind of rows, as an honest state or flag may have."""
    return all(alone.kinship.is_copy for alone in says.values())


def _how(says: dict[str, Alone]) -> str:
    kin = [alone.kinship for alone in says.values()]
    if any(one.is_alone for one in kin):
        closest = max(one.closest for one in kin)
        return f"within each kind of rows it goes with no other column (rank correlation at most {closest:.2f})"
    if any(one.is_copy for one in kin):
        return "it has one value for each kind of rows"
    if any(one.is_tight for one in kin):
        return "it has, in effect, one value for each class"
    return "it is unset for some kinds of rows, and for no row of the others"


def _others_part_too(sides: Sides, one: Strength, strengths: Sequence[Strength]) -> bool:
    """Say whether a column that is no copy of this one, and not computed from it, parts the classes as well.

    For a measurement of the connection it is enough that another all but parts them: such attacks are easy. What a
    table brings beyond that has to be as exact, and no copy of the label itself.
    """
    copies = _copies(sides, one, strengths)
    for other in strengths:
        if other.column in copies:
            continue
        if is_behaviour(other.column) and other.auc >= SEPARATES:
            return True
        if is_computed(other.column) or (other.train.kinship.is_copy and not is_canonical(other.column)):
            continue
        if other.is_exact or (is_canonical(one.column) and other.auc >= STRONG):
            return True
    return False


def _easy(strengths: Sequence[Strength], named: set[str]) -> list[Finding]:
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


def _beats_all_others(sides: Sides, best: Strength, strengths: Sequence[Strength], seed: int) -> list[Finding]:
    copies = _copies(sides, best, strengths)
    derived = {name for name in sides.columns if is_canonical(best.column) and is_computed(name)}
    rest = [place for place, name in enumerate(sides.columns) if name not in copies | derived]
    if not rest:
        return []
    half = np.arange(sides.train.attack.size) % 2 == 0
    rows, attack = sides.train.rows[:, rest], sides.train.attack
    within = transfer_auc(rows[half], attack[half], rows[~half], attack[~half], seed)
    across = transfer_auc(rows, attack, sides.test.rows[:, rest], sides.test.attack, seed)
    lead = min(best.train.auc - within, best.transfer - across)
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


def _copies(sides: Sides, one: Strength, strengths: Sequence[Strength]) -> set[str]:
    """Return a column and those that are the same up to a monotone change; together they are one feature."""
    alike = [other.column for other in strengths if abs(other.auc - one.auc) <= MARGIN]
    rows = sides.train.rows[:, [sides.columns.index(name) for name in alike]]
    ranks = np.argsort(np.argsort(rows, axis=0, kind="stable"), axis=0, kind="stable").astype(np.float64)
    ranks -= ranks.mean(axis=0)
    chosen = ranks[:, alike.index(one.column)]
    likeness = np.abs(chosen @ ranks) / (np.sqrt((chosen @ chosen) * (ranks * ranks).sum(axis=0)) + 1e-12)
    return {one.column, *(name for name, value in zip(alike, likeness, strict=True) if value >= SAME)}


def _alone(side: Side, place: int, kinship: Kinship) -> Alone:
    column, half = side.rows[:, place], np.arange(side.attack.size) % 2 == 0
    aucs = [_auc(column[fit], side.attack[fit], column[~fit], side.attack[~fit]) for fit in (half, ~half)]
    return Alone(float(np.mean(aucs)), _is_exact(column, side.attack), kinship)


def _transfer(sides: Sides, place: int) -> float:
    train, test = sides.train, sides.test
    return _auc(train.rows[:, place], train.attack, test.rows[:, place], test.attack)


def _auc(column: Column, is_attack: BoolArray, other: Column, truth: BoolArray) -> float:
    value = Ranking.of(truth, single_feature_score(column, is_attack, other)[1]).point(roc_auc)
    return 0.5 if value is None else value


def _is_exact(column: Column, attack: BoolArray) -> bool:
    values, place = np.unique(np.where(np.isnan(column), -np.inf, column), return_inverse=True)
    attacks = np.bincount(place[attack], minlength=values.size)
    benign = np.bincount(place[~attack], minlength=values.size)
    if ((attacks > 0) & (benign > 0)).any():
        return False
    changes = int((np.diff((attacks > 0).astype(np.int8)) != 0).sum())
    return changes == 1 or (changes > 1 and values.size <= FEW_VALUES)
