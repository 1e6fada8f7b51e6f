"""Leave one attack out: train again without each attack in turn, and look whether it is found all the same.

The honest answer to "what of an attack that nobody has seen yet?", asked as often as there are attacks. All rows of
the attack that was left out are judged, those of the training side too, since none of them was in that fit; the benign
rows are those of the test side. An attack that training never had needs no new fit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from cybersec_mlops.connections import is_feature
from cybersec_mlops.errors import DataError
from cybersec_mlops.evaluation.bootstrap import Bootstrap, Estimate
from cybersec_mlops.evaluation.ranking import BoolArray, FloatArray, Ranking, roc_auc
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.spec import TrainingSpec

PROGRESS = logging.getLogger("cybersec_mlops.progress")

MOST_FITS: Final = 25
"""Attacks that are left out, the most frequent first."""
MOST_ROWS: Final = 200_000
"""Training rows of such a fit; a seeded sample of more."""
MIN_ROWS: Final = 5
"""Rows of an attack without which there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Skill:
    """How one score finds the attack."""

    roc_auc: Estimate
    recall: Estimate
    """At the score's own frozen threshold for the nominal false-positive rate."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One attack that the detector had not seen."""

    label: str
    rows: int
    """Of the attack, on both sides of the split."""
    refitted: bool
    """False where training never had it: the frozen bundle itself was judged."""
    supervised: Skill | None
    """None where no other attack was left to learn from."""
    benign_only: Skill
    fused: Skill


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """The table, and what was left out of it."""

    nominal: float
    """False-positive rate of the thresholds."""
    attacks: tuple[LeftOut, ...]
    """The most frequent first."""
    skipped: tuple[str, ...]
    """Attacks with too few rows, beyond the limit, or without which no detector can be trained."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def leave_one_attack_out(
    detector: Detector,
    train: pl.DataFrame,
    test: pl.DataFrame,
    spec: TrainingSpec,
    *,
    shortcuts: Mapping[str, str],
    resamples: int,
    seed: int,
) -> LeaveOneOut:
    """Judge every attack by a detector that never saw it.

    Parameters
    ----------
    detector : Detector
        The frozen bundle; it judges the attacks that `train` lacks.
    train, test : DataFrame
        SILVER rows of both sides of the split.
    spec : TrainingSpec
        How the bundle was trained: the fits are made in the same way.
    shortcuts : mapping of str to str
        As for the training.
    resamples, seed : int
        Of the bootstrap.
    """
    attacks = pl.concat([_attacks(side) for side in (train, test)])
    counts = attacks["label"].value_counts(name="rows").sort(["rows", "label"], descending=[True, False])
    listed = counts.filter(pl.col("rows") >= MIN_ROWS)["label"].to_list()[:MOST_FITS]
    skipped = [label for label in counts["label"] if label not in listed]
    known = set(_attacks(train)["label"].unique())
    benign = test.filter(~pl.col("is_attack"))
    if not listed or benign.is_empty():
        return LeaveOneOut(detector.calibration.active.rate, (), tuple(counts["label"]))
    fits = sum(label in known for label in listed)
    PROGRESS.info("leave one attack out: %d attacks, %d of them to be trained without", len(listed), fits)
    found = []
    for number, label in enumerate(listed, start=1):
        one = detector
        if label in known:
            refitted = _without(label, train, spec, shortcuts)
            if refitted is None:
                skipped.append(label)
                continue
            one = refitted
        rows = pl.concat([benign, *(_attacks(side).filter(pl.col("label") == label) for side in (train, test))])
        found.append(_judge(label, one, rows, label in known, resamples, seed))
        PROGRESS.info(
            "leave one attack out: %d of %d, %s", number, len(listed), label.encode("unicode_escape").decode()
        )
    return LeaveOneOut(detector.calibration.active.rate, tuple(found), tuple(skipped))


def _attacks(side: pl.DataFrame) -> pl.DataFrame:
    return side.filter(pl.col("is_attack")).with_columns(pl.col("label").fill_null("(unnamed)"))


def _without(label: str, train: pl.DataFrame, spec: TrainingSpec, shortcuts: Mapping[str, str]) -> Detector | None:
    """Train without an attack; benign-only where it was the only one, None where the rest cannot be trained on."""
    rest = train.filter(
        ~(pl.col("is_attack") & (pl.col("label").fill_null("(unnamed)") == label)).fill_null(value=False)
    )
    rest = rest.sample(MOST_ROWS, seed=spec.seed) if rest.height > MOST_ROWS else rest
    alone = not rest["is_attack"].any()
    try:
        used = spec.model_copy(update={"supervised": "never"}) if alone else spec
        return fit_detector(rest, used, shortcuts=shortcuts).detector
    except DataError:
        return None


def _judge(label: str, detector: Detector, rows: pl.DataFrame, refitted: bool, resamples: int, seed: int) -> LeftOut:
    rows = rows.sort("ts", nulls_last=True, maintain_order=True) if "ts" in rows.columns else rows
    scored = detector.score(rows.select(name for name in rows.columns if is_feature(name)))
    bootstrap = Bootstrap.of(rows, resamples=resamples, seed=seed)
    level = -math.log(detector.calibration.active.rate)

    def skill(score: FloatArray, alert: BoolArray) -> Skill:
        (auc,) = bootstrap.ranked(Ranking.of(bootstrap.is_attack, score), roc_auc)
        recall = bootstrap.rate(alert, bootstrap.is_attack)
        assert auc is not None
        assert recall is not None
        return Skill(auc, recall)

    odds, novelty = (scored[name].to_numpy() for name in ("supervised_score", "novelty_score"))
    supervised = detector.supervised
    return LeftOut(
        label=label,
        rows=int(bootstrap.is_attack.sum()),
        refitted=refitted,
        supervised=None if supervised is None else skill(odds, supervised.surprise(odds) >= level),
        benign_only=skill(novelty, detector.novelty_surprise(novelty) >= level),
        fused=skill(scored["score"].to_numpy(), scored["is_alert"].to_numpy().astype(np.bool_)),
    )
