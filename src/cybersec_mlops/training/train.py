"""The steps from a SILVER snapshot to a stored bundle. The flow runs them as tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cybersec_mlops.connections import BACKGROUND, BENIGN
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import read_bundle, write_bundle
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.recalibrate import recalibrate
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.split import Split, split
from cybersec_mlops.training.tuning import tune
from cybersec_mlops.transformation.silver import SilverManifest, read_silver


@dataclass(frozen=True, slots=True)
class Trained:
    """A stored bundle and what is worth telling of it."""

    bundle: Reference
    report: dict[str, Any]


def read_manifest_of(reference: Reference, silver: ObjectStore) -> SilverManifest:
    """Read the SILVER manifest that a reference names, checked against its hash."""
    return SilverManifest.from_json(silver.get_bytes(silver.key(reference.uri), sha256=reference.sha256), silver)


def read_split(manifest: SilverManifest, silver: ObjectStore, folder: Path, spec: TrainingSpec) -> Split:
    """Read a snapshot and cut it into what is trained on and what is held out for the evaluation."""
    return split(read_silver(manifest, silver, folder), spec)


def train(
    reference: Reference,
    silver: ObjectStore,
    models: ObjectStore,
    folder: Path,
    *,
    spec: TrainingSpec,
    holdout: bool,
    code: Mapping[str, Any],
    parent: Reference | None = None,
) -> Trained:
    """Fit a detector on a SILVER snapshot and store its bundle under the hash of its bytes.

    Parameters
    ----------
    reference : Reference
        The SILVER manifest.
    silver, models : ObjectStore
        The layers.
    folder : Path
        Scratch.
    spec : TrainingSpec
        How.
    holdout : bool
        Keep a part of the snapshot for the evaluation, because no test set of its own was given.
    code : mapping
        What is written into the bundle about the code that ran.
    parent : Reference, optional
        A bundle to carry over to the snapshot (see `recalibrate`) instead of training anew.

    Raises
    ------
    DataError
        When the snapshot cannot train a detector: one class only, no benign rows, too few rows, or nothing to tune by.
    """
    manifest = read_manifest_of(reference, silver)
    frame: pl.DataFrame
    how: dict[str, Any] = {"method": "given test set"}
    if holdout:
        cut = read_split(manifest, silver, folder, spec)
        frame, how = cut.train, cut.describe()
    else:
        frame = read_silver(manifest, silver, folder)
    report: dict[str, Any]
    origin: dict[str, Any] | None = None
    if parent is None:
        tuned = tune(frame, spec, shortcuts=manifest.shortcuts) if spec.tune else None
        fitted = fit_detector(frame, tuned.spec if tuned else spec, shortcuts=manifest.shortcuts)
        report = fitted.report | ({"tuning": tuned.to_dict()} if tuned else {})
    else:
        detector, known = read_bundle(models.get_bytes(models.key(parent.uri), sha256=parent.sha256))
        fitted = recalibrate(detector, frame, spec)
        report, origin = fitted.report, _describe_parent(parent, known["provenance"])
    provenance = {
        "silver_manifest": {"sha256": reference.sha256, "rows": manifest.kept},
        "raw_manifest": {"sha256": manifest.raw_manifest_sha256},
        "dataset": manifest.dataset,
        "formats": list(manifest.formats),
        "synthetic": manifest.synthetic or bool(origin and origin["synthetic"]),
        "split": how,
        "training": {name: value for name, value in report.items() if name != "seconds"},
        "code": dict(code),
        **({"parent": origin} if origin else {}),
    }
    data = write_bundle(fitted.detector, provenance=provenance)
    sha256 = hashlib.sha256(data).hexdigest()
    stored = models.put_bytes(f"bundles/{sha256[:2]}/{sha256}.zip", data)
    return Trained(stored, {**report, "split": how})


def known_attacks(provenance: Mapping[str, Any]) -> frozenset[str] | None:
    """Name the attacks among the rows that a bundle was trained on, or its parent was; None without labels."""
    labels = (provenance.get("parent") or provenance["training"])["labels"]
    return frozenset(labels) - {BENIGN, BACKGROUND} if labels else None


def _describe_parent(parent: Reference, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recalibrated bundle says of the one it was made from; the labels are the first training's."""
    earlier = provenance.get("parent") or {}
    return {
        "sha256": parent.sha256,
        "dataset": provenance["dataset"],
        "formats": provenance["formats"],
        "synthetic": provenance["synthetic"],
        "silver_manifest": provenance["silver_manifest"],
        "labels": earlier.get("labels", provenance["training"]["labels"]),
    }
