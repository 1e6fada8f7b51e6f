"""The trained detector: rows of connections in, scores and alerts out.

**Higher is more suspicious**, for every score of this package. A row's `score` is the sum of two surprises (-log p
against held-out benign rows): that of the supervised detector, times its weight, and that of the benign-only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cybersec_mlops.training.complete import CompleteBooster, complete
from cybersec_mlops.training.fusion import Surprise
from cybersec_mlops.training.matrix import Encoder, Matrix, Usual
from cybersec_mlops.training.novelty import Novelty, summed_columns
from cybersec_mlops.training.supervised import contributions, load_booster
from cybersec_mlops.training.threshold import Calibration

if TYPE_CHECKING:
    import xgboost

Floats = NDArray[np.float64]

BLOCK: Final = 65_536
"""Rows that are encoded and scored at once: what bounds the memory."""

DECIMALS: Final = 9
"""Scores are rounded, so that the last bit of a processor's logarithm does not show."""

SCORE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "score": pl.Float64(),
    "p_value": pl.Float64(),  # share of held-out benign rows that score as high or higher, extrapolated at the top
    "supervised_score": pl.Float64(),  # log odds of an attack; null in a benign-only detector
    "novelty_score": pl.Float64(),  # surprise in nats, given benign rows
    "is_alert": pl.Boolean(),  # score at least the active threshold
}

EXPLANATION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "row": pl.Int64(),  # index in the frame that was explained
    "rank": pl.Int64(),  # 1 is the feature that counts most
    "feature": pl.String(),
    "value": pl.String(),  # as text; null where it is missing
    "usual": pl.String(),  # what benign training rows show, as text
    "usual_low": pl.Float64(),  # 5 % of them lie below
    "usual_high": pl.Float64(),  # 5 % of them lie above
    "contribution": pl.Float64(),  # nats of the score; all features of a row sum to the score
    "supervised_contribution": pl.Float64(),  # the part of the supervised detector; null in a benign-only one
    "novelty_contribution": pl.Float64(),
}


@dataclass(frozen=True)
class Supervised:
    """Gradient boosting and the scale of its scores."""

    booster: bytes
    """UBJSON."""
    surprise: Surprise
    weight: float = 1.0
    """What its surprise counts beside that of the benign-only half."""

    @cached_property
    def live(self) -> xgboost.Booster:
        """The booster, loaded once."""
        return load_booster(self.booster)

    @cached_property
    def complete(self) -> CompleteBooster:
        """The booster that scores, made once."""
        return complete(self.live)


@dataclass(frozen=True)
class Detector:
    """Everything that scoring needs; nothing in it changes."""

    encoder: Encoder
    usual: dict[str, Usual]
    supervised: Supervised | None
    novelty: Novelty
    novelty_surprise: Surprise
    calibration: Calibration

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score rows, in bounded memory; each row by itself, so order and company play no part.

        Parameters
        ----------
        frame : DataFrame
            SILVER rows of any format; features that it lacks count as missing.

        Returns
        -------
        DataFrame
            One row per row, in order, of `SCORE_SCHEMA`.

        Raises
        ------
        DataError
            When the frame lacks too many features or has one in another type (see `Encoder.check`).
        """
        self.encoder.check(frame)
        blocks = [self._score_block(frame.slice(start, BLOCK)) for start in range(0, frame.height, BLOCK)]
        return pl.concat(blocks) if blocks else pl.DataFrame(schema=SCORE_SCHEMA)

    def missing_features(self, frame: pl.DataFrame) -> list[str]:
        """Name the features that a frame lacks."""
        return self.encoder.missing_features(frame)

    def explain(self, frame: pl.DataFrame, rows: list[int], top: int = 5) -> pl.DataFrame:
        """Say for some rows which features made them suspicious, with their values and what is usual.

        A row's score is shared out among the features: the supervised surprise in proportion to the positive Tree
        SHAP values, the novelty surprise in proportion to how far each feature is from what the benign-only
        detector expects.

        Parameters
        ----------
        frame : DataFrame
            SILVER rows.
        rows : list of int
            Indices into `frame`.
        top : int
            Features per row.

        Returns
        -------
        DataFrame
            Of `EXPLANATION_SCHEMA`, at most `top` rows for every row asked for.
        """
        from cybersec_mlops.training.explanation import explain

        return explain(self, frame, rows, top)

    def feature_importance(self) -> pl.DataFrame:
        """Return what the supervised detector looks at: feature, importance (shares of gain, summing to 1).

        A benign-only detector looks at all features alike and gives no rows.
        """
        from cybersec_mlops.training.explanation import feature_importance

        return feature_importance(self)

    def surprises(self, matrix: Matrix) -> tuple[Floats | None, Floats, Floats, Floats]:
        """Return log odds (or None), weighted supervised surprise (zeros without), novelty score, novelty surprise."""
        novelty = np.round(self.novelty.score(matrix), DECIMALS)
        novelty_surprise = self.novelty_surprise(novelty)
        if self.supervised is None:
            return None, np.zeros_like(novelty), novelty, novelty_surprise
        odds = self.supervised.complete.margins(matrix)
        return odds, self.supervised.weight * self.supervised.surprise(odds), novelty, novelty_surprise

    def parts(self, scored: pl.DataFrame) -> tuple[Floats, Floats]:
        """Return the weighted supervised surprise (zeros without) and the novelty surprise, which add to the score.

        Parameters
        ----------
        scored : DataFrame
            With the columns of `SCORE_SCHEMA`.
        """
        novelty = self.novelty_surprise(scored["novelty_score"].to_numpy())
        if self.supervised is None:
            return np.zeros_like(novelty), novelty
        return self.supervised.weight * self.supervised.surprise(scored["supervised_score"].to_numpy()), novelty

    def _score_block(self, frame: pl.DataFrame) -> pl.DataFrame:
        odds, supervised, novelty, novelty_surprise = self.surprises(self.encoder.encode(frame))
        score = np.round(supervised + novelty_surprise, DECIMALS)
        columns = {
            "score": score,
            "p_value": self.calibration.p_values(score),
            "supervised_score": odds if odds is not None else pl.Series([None] * score.size, dtype=pl.Float64),
            "novelty_score": novelty,
            "is_alert": score >= self.calibration.active.score,
        }
        return pl.DataFrame(columns, schema=SCORE_SCHEMA)


def shared_by_feature(shares: Floats, encoder: Encoder) -> Floats:
    """Sum matrix columns to features, shape (rows, columns) to (rows, features)."""
    return summed_columns(shares, encoder.sources, len(encoder.features))


def supervised_shares(detector: Detector, matrix: Matrix, *, exact: bool = True) -> Floats:
    """Return each feature's share in what speaks for an attack, rows summing to 1 (or 0), shape (rows, features).

    By Tree SHAP values where `exact`, else by the faster path attribution (see `contributions`).
    """
    if detector.supervised is None:
        return np.zeros((matrix.shape[0], len(detector.encoder.features)))
    by_feature = shared_by_feature(contributions(detector.supervised.live, matrix, exact=exact), detector.encoder)
    positive = np.maximum(by_feature, 0.0)
    positive[positive.sum(axis=1) == 0] = 1.0  # nothing speaks for an attack: what surprise there is, is shared alike
    return np.asarray(positive / np.maximum(positive.sum(axis=1, keepdims=True), 1e-12), dtype=np.float64)
