from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.training import bundle
from cybersec_mlops.training.bundle import read_bundle, write_bundle
from cybersec_mlops.training.fit import FittedDetector, fit_detector
from cybersec_mlops.training.spec import TrainingSpec

MakeRows = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def data(fitted: FittedDetector) -> bytes:
    return write_bundle(fitted.detector, provenance={"silver": "abc", "rows": 1500})


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def test_round_trip_scores_bit_for_bit(
    fitted: FittedDetector, fitted_benign_only: FittedDetector, make_rows: MakeRows
) -> None:
    rows = make_rows(400, seed=9)
    for one in (fitted, fitted_benign_only):
        data = write_bundle(one.detector)
        again, _ = read_bundle(data, sha256=hashlib.sha256(data).hexdigest())
        assert again.score(rows).equals(one.detector.score(rows))
        assert again.explain(rows, [0, 5]).equals(one.detector.explain(rows, [0, 5]))
        assert write_bundle(again) == data


def test_the_manifest_says_what_goes_in_and_out(data: bytes, fitted: FittedDetector) -> None:
    _, manifest = read_bundle(data)
    assert [field["name"] for field in manifest["signature"]["inputs"]] == list(fitted.detector.encoder.features)
    assert manifest["signature"]["outputs"][0] == {"name": "score", "type": "Float64"}
    assert manifest["provenance"] == {"silver": "abc", "rows": 1500}
    assert manifest["calibration"]["active"]["rate"] == 0.01
    assert manifest["packages"]["numpy"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "arrays.safetensors", "booster.ubj"]


@settings(max_examples=150, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(data: bytes, share: float, bit: int) -> None:
    changed = bytearray(data)
    changed[int(share * len(data))] ^= 1 << bit
    with pytest.raises(DataError):
        read_bundle(bytes(changed))


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_bundle_is_refused(data: bytes, share: float) -> None:
    with pytest.raises(DataError):
        read_bundle(data[: int(share * len(data))])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_foreign_bytes_are_refused(foreign: bytes) -> None:
    with pytest.raises(DataError, match="not a bundle"):
        read_bundle(foreign)


def test_the_hash_is_checked_before_anything_is_parsed(data: bytes) -> None:
    with pytest.raises(DataError, match="SHA-256"):
        read_bundle(data, sha256="0" * 64)
    with pytest.raises(DataError, match="SHA-256"):
        read_bundle(b"not even a zip", sha256=hashlib.sha256(data).hexdigest())


def test_other_archives_are_refused(data: bytes) -> None:
    members = members_of(data)
    cases = {
        "unknown member": {**members, "../evil.py": b"print()"},
        "missing": {"manifest.json": members["manifest.json"]},
        "not those that its manifest lists": {n: c for n, c in members.items() if n != "booster.ubj"},
        "not JSON": {**members, "manifest.json": b"{"},
        "not a bundle of this program": {**members, "manifest.json": b"[]"},
    }
    for message, changed in cases.items():
        with pytest.raises(DataError, match=message):
            read_bundle(bundle._zip(changed))
    with pytest.raises(DataError, match="compressed"):
        read_bundle(zip_of(members, zipfile.ZIP_DEFLATED))
    with pytest.raises(DataError, match="not the archive that its members make"):
        read_bundle(zip_of(dict(reversed(members.items()))))


def test_rewritten_members_are_refused_by_the_manifest(data: bytes) -> None:
    members = members_of(data)
    members["arrays.safetensors"] = members["arrays.safetensors"][:-8] + b"changed!"
    with pytest.raises(DataError, match=r"arrays.safetensors was changed"):
        read_bundle(bundle._zip(members))


def test_parts_of_different_models_do_not_pass_for_one(
    data: bytes, make_rows: MakeRows, small_spec: TrainingSpec
) -> None:
    other = write_bundle(fit_detector(make_rows(300).drop("orig_pkts", "proto"), small_spec).detector)
    for part in ("booster.ubj", "arrays.safetensors"):
        members = {**members_of(data), part: members_of(other)[part]}
        manifest = json.loads(members["manifest.json"])
        manifest["members"][part]["sha256"] = hashlib.sha256(members[part]).hexdigest()
        members["manifest.json"] = json.dumps(manifest).encode()
        with pytest.raises(DataError, match="do not fit together"):
            read_bundle(bundle._zip(members))


def test_another_version_is_named(data: bytes) -> None:
    members = members_of(data)
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, "format_version": 99}).encode()
    with pytest.raises(DataError, match="version is 99, expected 2"):
        read_bundle(bundle._zip(members))


@settings(max_examples=60, deadline=None)
@given(
    key=st.sampled_from(["encoder", "usual", "calibration", "supervised", "members"]),
    junk=st.sampled_from([None, 3, [], {}, "x"]),
)
def test_a_manifest_that_lies_about_its_parts_is_a_clear_error(data: bytes, key: str, junk: object) -> None:
    members = members_of(data)
    manifest = json.loads(members["manifest.json"])
    if (key, junk) == ("supervised", "x") or (key, junk) == ("supervised", 3):
        return  # as good as true
    members["manifest.json"] = json.dumps({**manifest, key: junk}).encode()
    try:
        detector, _ = read_bundle(bundle._zip(members))
    except DataError:
        return
    assert key in ("usual", "supervised")  # these only leave something out
    assert detector.supervised is None or not detector.usual


def test_oversized_members_are_refused_unread(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LIMITS", {**bundle.LIMITS, "booster.ubj": 10})
    with pytest.raises(DataError, match=r"booster.ubj has \d+ bytes, expected at most 10"):
        read_bundle(data)
    monkeypatch.setattr(bundle, "LIMITS", dict.fromkeys(bundle.LIMITS, 0))
    with pytest.raises(DataError, match="more than a bundle can have"):
        read_bundle(data + b"\0" * (2 << 20))


def test_another_process_scores_the_same_bits(
    data: bytes, fitted: FittedDetector, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = make_rows(200, seed=11)
    (tmp_path / "bundle.zip").write_bytes(data)
    rows.write_parquet(tmp_path / "rows.parquet")
    code = (
        "import sys, pathlib, polars as pl; from cybersec_mlops.training.bundle import read_bundle\n"
        "at = pathlib.Path(sys.argv[1]); detector, _ = read_bundle((at / 'bundle.zip').read_bytes())\n"
        "detector.score(pl.read_parquet(at / 'rows.parquet')).write_parquet(at / 'scores.parquet')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert pl.read_parquet(tmp_path / "scores.parquet").equals(fitted.detector.score(rows))
