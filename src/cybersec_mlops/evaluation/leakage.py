"""The leakage audit: whether something else than the behaviour of attacks explains the result.

It runs by default, on seeded samples and with models of its own. Each check gives at least one `Finding`, also where
all is well, so that the report shows what was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.connections import is_feature
from cybersec_mlops.evaluation.duplicates import check_duplicates
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.matrix import labelled_sample
from cybersec_mlops.evaluation.probe import chance_deviation, halves_auc, transfer_auc
from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, Ranking, roc_auc
from cybersec_mlops.evaluation.row_order import check_row_order
from cybersec_mlops.evaluation.sides import Sides
from cybersec_mlops.evaluation.single_features import Strength, check_single_features, measure_strengths
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.evaluation.text import number

FitScore = Callable[[pl.DataFrame, pl.DataFrame], FloatArray]
"""Fit a detector to the first frame and score the second; higher is more suspicious."""

MIN_CLASS_ROWS: Final = 50
"""With fewer rows of a class the checks that need labels say nothing."""
SPLIT_GAP: Final = 0.05
LEARNABLE: Final = 0.55
CHANCE: Final = 0.05
DEVIATIONS: Final = 5.0
LABEL_DEVIATIONS: Final = 3.0
"""Shuffled labels stay below; few rows must not make honest ones look shuffled."""


def audit_leakage(
    train: pl.DataFrame,
    test: pl.DataFrame,
    features: Sequence[str],
    *,
    shortcuts: Mapping[str, str],
    spec: EvaluationSpec,
    temporal: bool,
    fit_score: FitScore | None = None,
) -> tuple[Finding, ...]:
    """Look for leaks between labels, features and the two sides of a split.

    Parameters
    ----------
    train, test : DataFrame
        SILVER rows.
    features : sequence of str
        What the model sees.
    shortcuts : mapping of str to str
        Columns of this format that are known to give labels away, and why.
    spec : EvaluationSpec
        ``seed`` and ``leakage_rows``.
    temporal : bool
        Whether the test rows come after the training rows.
    fit_score : callable, optional
        The real training, for the check on shuffled labels; the audit's own small model where it is None.

    Returns
    -------
    tuple of Finding
        Nothing raised for data that cannot be judged: a finding says so.
    """
    samples = [labelled_sample(frame, spec.leakage_rows, spec.seed + i) for i, frame in enumerate((train, test))]
    sides = Sides.of(samples[0], samples[1], features)
    found = check_identifiers(features) + check_duplicates(train, test, features)
    if min(_smaller_class(sides.train.attack), _smaller_class(sides.test.attack)) < MIN_CLASS_ROWS or not sides.columns:
        text = (
            f"Checks that need labels were left out: one side has fewer than {MIN_CLASS_ROWS} attacks or benign rows."
        )
        return (
            *found,
            *check_shortcuts(train, features, shortcuts, ()),
            Finding("labels", "info", (), None, None, text),
        )
    watched = Sides.of(
        samples[0], samples[1], [name for name in shortcuts if name in train.columns and name not in features]
    )
    strengths = measure_strengths(sides)
    found += check_shortcuts(train, features, shortcuts, (*strengths, *measure_strengths(watched)))
    found += check_row_order(samples, strengths)
    found += check_single_features(sides, strengths, spec.seed)
    found += check_labels(sides, spec.seed)
    found += check_split(sides, spec.seed, temporal=temporal)
    found += check_shuffled(sides, samples[0], samples[1], spec.seed, fit_score)
    return tuple(found)


def check_identifiers(features: Sequence[str]) -> list[Finding]:
    """Refuse identifiers, addresses, times and labels among the features."""
    wrong = tuple(name for name in features if not is_feature(name))
    if wrong:
        text = f"The model sees columns that identify rows, hosts, times or labels: {', '.join(wrong)}."
        return [Finding("identifier", "severe", wrong, float(len(wrong)), 0.0, text)]
    text = f"None of the {len(features)} features is an identifier, an address, a time or a label."
    return [Finding("identifier", "info", (), 0.0, 0.0, text)]


def check_shortcuts(
    train: pl.DataFrame, features: Sequence[str], shortcuts: Mapping[str, str], strengths: Sequence[Strength]
) -> list[Finding]:
    """Name the columns that are known to be shortcuts of the format, whether the model sees them or not."""
    alone = {one.column: one.train.auc for one in strengths}
    found = []
    for name in sorted(shortcuts):
        if name not in train.columns:
            continue
        used = name in features
        how = "The model sees" if used else "The model does not see"
        strength = f" Alone it ranks training rows with a ROC-AUC of {number(alone[name])}." if name in alone else ""
        text = f"{how} {name}, a known shortcut of this format: {shortcuts[name].rstrip('.')}.{strength}"
        found.append(Finding("known_shortcut", "severe" if used else "info", (name,), alone.get(name), None, text))
    if not found:
        text = "No known shortcut of this format is among the columns."
        found = [Finding("known_shortcut", "info", (), None, None, text)]
    return found


def check_labels(sides: Sides, seed: int) -> list[Finding]:
    """Ask of each side alone whether its labels can be learnt at all; shuffled or swapped-in labels cannot."""
    found = []
    for name, rows, attack in (
        ("training", sides.train.rows, sides.train.attack),
        ("test", sides.test.rows, sides.test.attack),
    ):
        auc = halves_auc(rows, attack, seed)
        limit = max(LEARNABLE, 0.5 + LABEL_DEVIATIONS * chance_deviation(attack))
        if auc >= limit:
            text = f"Within the {name} rows the labels can be learnt (ROC-AUC {number(auc)}): they were not shuffled."
            found.append(Finding("label_signal", "info", (), auc, limit, text))
        else:
            text = f"Within the {name} rows the labels say no more than shuffled ones would (ROC-AUC {number(auc)})."
            found.append(Finding("label_signal", "severe", (), auc, limit, text))
    return found


def check_split(sides: Sides, seed: int, *, temporal: bool) -> list[Finding]:
    """Compare the real split with a random one of the same rows: the gap is what a random split would have hidden."""
    rows = np.concatenate([sides.train.rows, sides.test.rows])
    attack = np.concatenate([sides.train.attack, sides.test.attack])
    mixed = np.random.default_rng(seed).permutation(attack.size)
    fit, held_out = mixed[: sides.train.attack.size], mixed[sides.train.attack.size :]
    random = transfer_auc(rows[fit], attack[fit], rows[held_out], attack[held_out], seed)
    real = transfer_auc(sides.train.rows, sides.train.attack, sides.test.rows, sides.test.attack, seed)
    gap = random - real
    text = (
        f"A small model reaches a ROC-AUC of {number(real)} on the real split and {number(random)} on a random split "
        f"of the same rows, a gap of {gap:+.3f}."
    )
    if gap > SPLIT_GAP:
        text += " The test traffic differs from training; a random split would have hidden that."
    elif not temporal:
        text += " The sides are not separated by time: nothing here shows how it holds on later traffic."
    return [Finding("split_gap", "warning" if gap > SPLIT_GAP else "info", (), gap, SPLIT_GAP, text)]


def check_shuffled(
    sides: Sides, train: pl.DataFrame, test: pl.DataFrame, seed: int, fit_score: FitScore | None
) -> list[Finding]:
    """Train on shuffled labels and score against shuffled labels: anything but chance is a mistake in the pipeline."""
    rng = np.random.default_rng(seed)
    shuffled, truth = rng.permutation(sides.train.attack), rng.permutation(sides.test.attack)
    if fit_score is None:
        auc = transfer_auc(sides.train.rows, shuffled, sides.test.rows, truth, seed)
    else:
        label = pl.when(pl.Series(shuffled)).then(pl.lit("shuffled")).otherwise(pl.lit("BENIGN")).alias("label")
        score = fit_score(train.with_columns(pl.Series("is_attack", shuffled), label), test)
        auc = Ranking.of(truth, score).point(roc_auc) or 0.0
    limit = max(CHANCE, DEVIATIONS * chance_deviation(truth))
    if abs(auc - 0.5) <= limit:
        text = f"A model on shuffled labels is at chance (ROC-AUC {number(auc)}), as it must be."
        return [Finding("shuffled_labels", "info", (), auc, 0.5 + limit, text)]
    text = f"A model on shuffled labels is not at chance (ROC-AUC {number(auc)}): something passes the labels on."
    return [Finding("shuffled_labels", "severe", (), auc, 0.5 + limit, text)]


def _smaller_class(is_attack: BoolArray) -> int:
    return int(min(is_attack.sum(), (~is_attack).sum()))
