"""What a trivial detector reaches on the same rows: a model that does not beat it is not worth its keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cybersec_mlops.evaluation.bootstrap import Bootstrap, Estimate
from cybersec_mlops.evaluation.matrix import Encoder, labelled_sample, single_feature_score
from cybersec_mlops.evaluation.ranking import FloatArray, Ranking, average_precision, roc_auc


@dataclass(frozen=True, slots=True)
class Baseline:
    """One trivial detector, chosen on the training rows and scored on the test rows."""

    name: str
    rule: str
    """What it looks at."""
    roc_auc: Estimate
    average_precision: Estimate
    lead: Estimate | None
    """The model's average precision minus this one's, on the same resamples; None where the model gave no scores."""


def measure_baselines(
    train: pl.DataFrame,
    test: pl.DataFrame,
    features: Sequence[str],
    *,
    bootstrap: Bootstrap,
    model_score: FloatArray | None = None,
    rows: int = 50_000,
    seed: int = 0,
) -> tuple[Baseline, ...]:
    """Measure the best single feature and a decision stump.

    Parameters
    ----------
    train, test : DataFrame
        SILVER rows with the features and ``is_attack``.
    features : sequence of str
        What the model may see.
    bootstrap : Bootstrap
        The test set's resamples over its labelled rows, in their order.
    model_score : ndarray of float64, optional
        The model's score of the labelled test rows, for the comparison on the same rows.
    rows, seed : int
        Training rows that the baselines see, and the seed of that sample.

    Returns
    -------
    tuple of Baseline
        Empty where either side has one class only.
    """
    fit = labelled_sample(train, rows, seed)
    labelled = test.filter(pl.col("is_attack").is_not_null())
    usable = [name for name in features if name in train.columns]
    if not usable or any(frame["is_attack"].n_unique() < 2 for frame in (fit, labelled)):
        return ()
    encoder = Encoder.fit(fit, usable)
    found = [_best_feature(encoder, fit, labelled), _stump(encoder, fit, labelled, seed)]
    model = None if model_score is None else Ranking.of(bootstrap.is_attack, model_score)
    return tuple(_measured(name, rule, score, bootstrap, model) for name, rule, score in found)


def _measured(name: str, rule: str, score: FloatArray, bootstrap: Bootstrap, model: Ranking | None) -> Baseline:
    ranking = Ranking.of(bootstrap.is_attack, score)
    auc, precision = bootstrap.ranked(ranking, roc_auc, average_precision)
    assert auc is not None
    assert precision is not None
    lead = None if model is None else bootstrap.difference(model, ranking, average_precision)
    return Baseline(name, rule, auc, precision, lead)


def _best_feature(encoder: Encoder, fit: pl.DataFrame, test: pl.DataFrame) -> tuple[str, str, FloatArray]:
    """Choose the feature that ranks the training rows best, on rows that its bins were not fitted on."""
    matrix, other = encoder.encode(fit), encoder.encode(test)
    is_attack = fit["is_attack"].to_numpy().astype(np.bool_)
    half = np.arange(is_attack.size) % 2 == 0
    quality = []
    for place in range(matrix.shape[1]):
        _, held_out = single_feature_score(matrix[half, place], is_attack[half], matrix[~half, place])
        quality.append(Ranking.of(is_attack[~half], held_out).point(average_precision) or 0.0)
    best = int(np.argmax(quality))
    _, score = single_feature_score(matrix[:, best], is_attack, other[:, best])
    return "best single feature", encoder.features[best], score


def _stump(encoder: Encoder, fit: pl.DataFrame, test: pl.DataFrame, seed: int) -> tuple[str, str, FloatArray]:
    from sklearn.tree import DecisionTreeClassifier

    stump = DecisionTreeClassifier(max_depth=1, class_weight="balanced", random_state=seed)
    stump.fit(encoder.encode(fit), fit["is_attack"].to_numpy().astype(np.bool_))
    feature, cut = int(stump.tree_.feature[0]), float(stump.tree_.threshold[0])
    name = encoder.features[max(feature, 0)]
    if feature < 0:
        rule = "no split found"
    elif not np.isfinite(cut):
        rule = f"{name} is known or missing"
    elif name in encoder.categories:
        commonest = list(encoder.categories[name])[: int(cut) + 1]
        shown = ", ".join(commonest[:3]) + (", ..." if len(commonest) > 3 else "")
        rule = f"{name} is one of the {len(commonest)} commonest values ({shown}) or not"
    else:
        rule = f"{name} <= {cut:.6g} or not"
    return "decision stump", rule, stump.predict_proba(encoder.encode(test))[:, 1].astype(np.float64)
