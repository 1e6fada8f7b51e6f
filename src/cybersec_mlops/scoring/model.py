"""The model that scores: a verified bundle, and what it needs to know of a connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import polars as pl

from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import read_bundle
from cybersec_mlops.training.detector import Detector
from cybersec_mlops.transformation.behaviour import CONTEXT_COLUMNS, behaviour_schema
from cybersec_mlops.transformation.spec import TransformationSpec

DERIVED_FROM: Final = ("resp_p", "orig_bytes", "resp_bytes", "orig_pkts", "resp_pkts", "duration_s", "history")
"""The columns that `transformation.derived` computes from."""

_WINDOWED: Final = re.compile(r"(?:orig|resp)_(?:conns|failures|bytes|peers|ports)_([1-9][0-9]{0,3})s")


@dataclass(frozen=True)
class ScoringModel:
    """A bundle, ready to score."""

    detector: Detector
    manifest: Mapping[str, Any]
    sha256: str

    @property
    def features(self) -> tuple[str, ...]:
        """What the model looks at."""
        return self.detector.encoder.features

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on simulated traffic."""
        return bool(self.manifest.get("provenance", {}).get("synthetic", False))

    @cached_property
    def windows_s(self) -> tuple[int, ...]:
        """The windows of the past that its features look at; none where it has no such feature."""
        found = {int(match[1]) for name in self.features if (match := _WINDOWED.fullmatch(name))}
        return tuple(sorted(found))

    def transformation(self, spec: TransformationSpec) -> TransformationSpec:
        """Return how its features are computed: as for its training rows, zone and slices as asked for."""
        windows = self.windows_s
        needed = any(name in behaviour_schema(windows or spec.windows_s) for name in self.features)
        return spec.model_copy(update={"behaviour": needed, **({"windows_s": windows} if windows else {})})

    def inputs(self, available: Mapping[str, pl.DataType], told: tuple[str, ...]) -> dict[str, pl.DataType]:
        """Choose the staged columns that are needed: to tell of an alert, and to compute the features."""
        wanted = {*told, *CONTEXT_COLUMNS, *DERIVED_FROM, *self.features}
        return {name: dtype for name, dtype in available.items() if name in wanted}

    def features_beside(self, told: tuple[str, ...]) -> list[str]:
        """Name the features that are not among the columns that are told anyway."""
        return [name for name in self.features if name not in told]

    def complete(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add the features that rows lack, as missing ones of the type that the model expects."""
        numeric = frozenset(self.detector.encoder.numeric)
        return rows.with_columns(
            pl.lit(None, dtype=pl.Float64() if name in numeric else pl.String()).alias(name)
            for name in self.detector.missing_features(rows)
        )


def load_model(bundle: Reference, models: ObjectStore) -> ScoringModel:
    """Read a bundle, checked against its hash before anything of it is parsed; the last two stay in memory.

    Raises
    ------
    DataError
        It is gone, was changed, or is no bundle.
    PlatformError
        The store failed.
    """
    return _loaded(models, models.key(bundle.uri), bundle.sha256)


@lru_cache(maxsize=2)
def _loaded(models: ObjectStore, key: str, sha256: str) -> ScoringModel:
    detector, manifest = read_bundle(models.get_bytes(key, sha256=sha256), sha256=sha256)
    return ScoringModel(detector, manifest, sha256)
