"""Which bundle a person means: an alias or a version of a dataset, a bundle in MODELS, or a bundle's file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cybersec_mlops.audit.registry import CHALLENGER, CHAMPION, REGISTRATION, ModelRegistry
from cybersec_mlops.config import RunSpec, name_dataset
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline.phase import reference_of
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.signing import public_keys, require_signed, signature_key
from cybersec_mlops.scoring.model import load_model
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import LIMITS, read_bundle
from cybersec_mlops.training.signature import SIGNATURE_BYTES, verify

_LARGEST_FILE: Final = sum(LIMITS.values()) + (1 << 20)
_HINT: Final = "`cybersec-mlops models list` tells what there is; `cybersec-mlops run SOURCE` trains one"


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A bundle, and how people call it."""

    bundle: Reference
    dataset: str
    version: int | None
    """Its number in the registry; None where it is in none."""


def choose_model(platform: Platform, spec: RunSpec) -> ChosenModel:
    """Find the bundle that `spec.scoring.model` names.

    Raises
    ------
    ConfigError
        It is not clear which dataset's model is meant.
    DataError
        There is no such model, or the file is no bundle.
    PlatformError
        The store or the database failed.
    """
    named = spec.scoring.model
    if "://" in named:
        return _by_reference(platform, reference_of(platform, named), spec.dataset)
    if Path(named).suffix == ".zip":
        return _by_reference(platform, import_bundle(platform, Path(named)), spec.dataset)
    dataset, at, version = named.rpartition("@")
    found = platform.registry.get(dataset if at else _dataset(platform.registry, spec), version)
    return ChosenModel(Reference.from_dict(found.bundle), found.dataset, found.version)


def import_bundle(platform: Platform, path: Path) -> Reference:
    """Bring a bundle's file into MODELS under its hash, read as a bundle first; a signature beside it comes along.

    Raises
    ------
    DataError
        It is not there, too large, or no bundle.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise DataError(f"has {size} bytes, more than a bundle can have", source=str(path))
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"the bundle cannot be read: {error.strerror}", source=str(path), hint=_HINT) from None
    sha256 = hashlib.sha256(data).hexdigest()
    if (public := public_keys(platform.settings)) is not None:
        _verify_file(path, data, public)
    try:
        read_bundle(data)
    except DataError as error:
        raise DataError(error.message, source=str(path), hint=error.hint) from None
    stored = platform.layers.models.put_bytes(f"bundles/{sha256[:2]}/{sha256}.zip", data)
    if (signature := _signature_beside(path)) is not None:
        platform.layers.models.put_bytes(signature_key(stored, platform), signature, overwrite=True)
    return stored


def _verify_file(path: Path, data: bytes, public: bytes) -> None:
    signature = _signature_beside(path)
    if signature is None:
        raise DataError(
            f"it is not signed: there is no {path.name}.sig beside it, and a public key is configured",
            source=str(path),
            hint="copy the signature from MODELS as well",
        )
    verify(data, signature, public)


def _signature_beside(path: Path) -> bytes | None:
    try:
        with path.with_name(f"{path.name}.sig").open("rb") as file:
            signature = file.read(SIGNATURE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"its signature cannot be read: {error.strerror}", source=str(path)) from None
    return signature if len(signature) == SIGNATURE_BYTES else b""


def _by_reference(platform: Platform, bundle: Reference, dataset: str | None) -> ChosenModel:
    for event in platform.audit.events(phase=REGISTRATION):
        if event.key == bundle.sha256 and dataset in (None, event.dataset):
            return ChosenModel(bundle, str(event.dataset), int(event.outputs["version"]))
    require_signed(platform, bundle)
    trained_on = load_model(bundle, platform.layers.models).manifest.get("provenance", {}).get("dataset")
    return ChosenModel(bundle, dataset or str(trained_on or "unnamed"), None)


def _dataset(registry: ModelRegistry, spec: RunSpec) -> str:
    """Return the dataset whose model is meant: as told, else that of the sources' name, else the only one there is."""
    if spec.dataset is not None:
        return spec.dataset
    known = list(dict.fromkeys(str(event.dataset) for event in registry.audit.events(phase=REGISTRATION)))
    if (own := name_dataset(spec.sources)) in known:
        return own
    if spec.scoring.model in (CHAMPION, CHALLENGER):
        bearing = [one for one in known if any(spec.scoring.model in each.aliases for each in registry.versions(one))]
        if not bearing and known:
            raise DataError(
                f"no dataset has a {spec.scoring.model}: the gate let none through",
                hint=f"name a version: --dataset {known[0]} --model challenger, or 1, 2, ...",
            )
        known = bearing
    if not known:
        raise DataError("there is no model to score with yet", hint=_HINT)
    if len(known) > 1:
        raise ConfigError(
            f"it is not clear whose model is meant: there are {', '.join(known[:10])}", hint="add --dataset NAME"
        )
    return known[0]
