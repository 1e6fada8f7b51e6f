"""The model as one file: safe to read, equal for equal training, and impossible to change unnoticed.

A ZIP of stored (not compressed) members in fixed order: ``manifest.json`` (what it is, where it comes from, the
signature of its input and output), ``booster.ubj`` (XGBoost's UBJSON, where there is a supervised part) and
``arrays.safetensors`` (numbers with names and shapes). Reading runs no code of the file: there is no pickle in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cybersec_mlops.errors import DataError
from cybersec_mlops.training.detector import SCORE_SCHEMA, Detector, Supervised
from cybersec_mlops.training.fusion import Surprise
from cybersec_mlops.training.matrix import Encoder, Usual
from cybersec_mlops.training.novelty import Novelty, part_of
from cybersec_mlops.training.threshold import Calibration

FORMAT: Final = "cybersec-mlops-detector"
FORMAT_VERSION: Final = 2

MANIFEST: Final = "manifest.json"
BOOSTER: Final = "booster.ubj"
ARRAYS: Final = "arrays.safetensors"

LIMITS: Final = {MANIFEST: 16 << 20, BOOSTER: 1 << 30, ARRAYS: 256 << 20}
"""The members that a bundle may have, and the bytes each may have."""

PACKAGES: Final = ("numpy", "polars", "safetensors", "scikit-learn", "xgboost-cpu", "xgboost")

_TIMESTAMP: Final = (1980, 1, 1, 0, 0, 0)
_HINT: Final = "give a bundle that `cybersec-mlops train` wrote, unchanged"


def write_bundle(detector: Detector, *, provenance: Mapping[str, Any] | None = None) -> bytes:
    """Write a detector; the same detector and provenance give the same bytes.

    Parameters
    ----------
    detector : Detector
    provenance : mapping, optional
        JSON for the manifest: the training snapshot, the spec, the training report. Leave out what differs between
        equal runs (times, ids), or the bytes will differ as well.

    Returns
    -------
    bytes
    """
    from safetensors.numpy import save

    members = {ARRAYS: save({name: np.ascontiguousarray(array) for name, array in _arrays(detector).items()})}
    if detector.supervised is not None:
        members[BOOSTER] = detector.supervised.booster
    manifest = {**_manifest(detector), "provenance": dict(provenance or {})}
    manifest["members"] = {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in members.items()}
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return _zip({MANIFEST: text.encode(), **dict(sorted(members.items()))})


def read_bundle(data: bytes, *, sha256: str | None = None) -> tuple[Detector, dict[str, Any]]:
    """Read a bundle's bytes; no part is parsed before its hash is checked.

    Parameters
    ----------
    data : bytes
    sha256 : str, optional
        What the registry or the user says the hash of the whole file is. Without it a change is found only if it
        does not keep the manifest's hashes.

    Returns
    -------
    Detector
    dict
        The manifest.

    Raises
    ------
    DataError
        When the file is not a bundle, is truncated, oversized, of another version, or was changed.
    """
    if sha256 is not None and (found := _sha256(data)) != sha256.lower():
        raise DataError(f"the bundle was changed: its SHA-256 is {found}, expected {sha256.lower()}", hint=_HINT)
    members = _unzip(data)
    manifest = _read_manifest(members.pop(MANIFEST))
    _check_members(manifest, members)
    try:
        return _detector(manifest, members), manifest
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"the bundle's parts do not fit together: {error}", hint=_HINT) from error


def _manifest(detector: Detector) -> dict[str, Any]:
    encoder = detector.encoder
    inputs = dict.fromkeys(encoder.numeric, "number") | dict.fromkeys(encoder.categories, "text")
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "signature": {
            "inputs": [{"name": name, "type": inputs[name]} for name in encoder.features],
            "outputs": [{"name": name, "type": str(dtype)} for name, dtype in SCORE_SCHEMA.items()],
            "direction": "higher is more suspicious",
        },
        "encoder": encoder.to_dict(),
        "usual": {
            name: {"low": usual.low, "high": usual.high, "values": list(usual.values)}
            for name, usual in detector.usual.items()
        },
        "calibration": detector.calibration.to_dict(),
        "supervised": detector.supervised is not None,
        "supervised_weight": None if detector.supervised is None else detector.supervised.weight,
        "packages": _packages(),
    }


def _arrays(detector: Detector) -> dict[str, NDArray[np.generic]]:
    parts: dict[str, Mapping[str, NDArray[np.generic]]] = {
        "novelty": detector.novelty.arrays(),
        "novelty_surprise": detector.novelty_surprise.arrays(),
        "calibration": detector.calibration.surprise.arrays(),
    }
    if detector.supervised is not None:
        parts["supervised_surprise"] = detector.supervised.surprise.arrays()
    return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def _detector(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> Detector:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(members[ARRAYS])
    except SafetensorError as error:
        raise DataError("the arrays of the bundle cannot be read", hint=_HINT) from error
    supervised = None
    if manifest["supervised"]:
        weight = float(manifest["supervised_weight"])
        if not 0.0 <= weight < math.inf:
            raise ValueError(f"the supervised half has the weight {weight}")
        surprise = Surprise.from_arrays(part_of(arrays, "supervised_surprise"))
        supervised = Supervised(members[BOOSTER], surprise, weight)
    detector = Detector(
        encoder=Encoder.from_dict(manifest["encoder"]),
        usual={
            name: Usual(usual["low"], usual["high"], tuple(usual["values"]))
            for name, usual in manifest["usual"].items()
        },
        supervised=supervised,
        novelty=Novelty.from_arrays(part_of(arrays, "novelty")),
        novelty_surprise=Surprise.from_arrays(part_of(arrays, "novelty_surprise")),
        calibration=Calibration.from_parts(manifest["calibration"], part_of(arrays, "calibration")),
    )
    _check_fit(detector)
    return detector


def _check_fit(detector: Detector) -> None:
    """Score one row of which everything is missing: parts of different models do not get through this."""
    columns = len(detector.encoder.columns)
    if detector.supervised is not None and (found := detector.supervised.live.num_features()) != columns:
        raise ValueError(f"the booster has {found} columns, expected {columns}")
    row = np.zeros((1, columns), dtype=np.float32)
    row[:, : len(detector.encoder.numeric)] = np.nan
    if not np.isfinite(
        np.concatenate([np.atleast_1d(part) for part in detector.surprises(row) if part is not None])
    ).all():
        raise ValueError("a row without values has no score")


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, _TIMESTAMP)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return buffer.getvalue()


def _unzip(data: bytes) -> dict[str, bytes]:
    if len(data) > sum(LIMITS.values()) + (1 << 20):
        raise DataError(f"the file has {len(data)} bytes, more than a bundle can have", hint=_HINT)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            for info in infos:
                _check_info(info)
            if len({info.filename for info in infos}) != len(infos):
                raise DataError("the bundle has a member twice", hint=_HINT)
            members = {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise DataError(f"the file is not a bundle, or is truncated: {error}", hint=_HINT) from error
    if MANIFEST not in members or ARRAYS not in members:
        raise DataError("the file is a ZIP archive but not a bundle: its manifest or arrays are missing", hint=_HINT)
    if _zip(members) != data:
        raise DataError("the bundle was changed: it is not the archive that its members make", hint=_HINT)
    return members


def _check_info(info: zipfile.ZipInfo) -> None:
    limit = LIMITS.get(info.filename)
    if limit is None:
        raise DataError(f"the bundle has an unknown member {info.filename[:80]!r}", hint=_HINT)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise DataError(f"member {info.filename} is compressed, expected it stored", hint=_HINT)
    if info.file_size > limit:
        raise DataError(f"member {info.filename} has {info.file_size} bytes, expected at most {limit}", hint=_HINT)


def _read_manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError("the bundle's manifest is not JSON", hint=_HINT) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError("the file is not a bundle of this program", hint=_HINT)
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise DataError(f"the bundle's format version is {found!r}, expected {FORMAT_VERSION}", hint="train again")
    return manifest


def _check_members(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    listed = manifest.get("members")
    if not isinstance(listed, dict) or set(listed) != set(members):
        raise DataError("the bundle's members are not those that its manifest lists", hint=_HINT)
    for name, data in members.items():
        if not isinstance(listed[name], dict) or listed[name].get("sha256") != _sha256(data):
            raise DataError(f"member {name} was changed: its SHA-256 is not the manifest's", hint=_HINT)


def _packages() -> dict[str, str]:
    found = {}
    for package in ("cybersec-mlops-pipeline", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
