"""What a manifest names is found; what stands for damaged objects is damaged itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.originals import Original, object_key, write_manifest
from cybersec_mlops.pipeline.manifests import references_inside
from cybersec_mlops.pipeline.phase import Outcome, Phase, find_result, run_phase
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.silver import SilverManifest, part_key

PHASE = Phase(name="transformation", run_id="r1", dataset="d", inputs=(), parameters={})
MANIFEST = SilverManifest(
    dataset="d",
    raw_manifest_sha256="00",
    formats=(),
    columns={},
    shortcuts={},
    parts=(),
    quarantine=(),
    read=0,
    kept=0,
    quarantined={},
    skipped={},
    labels={},
    labels_original={},
    first_ts=None,
    last_ts=None,
    synthetic=False,
)


@pytest.fixture
def parts(platform: Platform) -> dict[str, Reference]:
    """Return a stored part and a quarantined one, as the manifest will name them."""
    silver = platform.layers.silver
    made = {}
    for folder in ("data", "quarantine"):
        known = silver.put_bytes(f"tmp/{folder}", folder.encode())
        stored = silver.put_bytes(part_key(folder, known.sha256), folder.encode())
        made[folder] = Reference(stored.uri, stored.sha256, stored.bytes, 1)
    return made


@pytest.fixture
def manifest(platform: Platform, parts: dict[str, Reference]) -> Reference:
    named = replace(MANIFEST, parts=(parts["data"],), quarantine=(parts["quarantine"],))
    return platform.layers.silver.put_bytes("manifests/m.json", named.to_json())


def test_a_silver_manifest_names_its_parts_and_what_was_refused(
    platform: Platform, manifest: Reference, parts: dict[str, Reference]
) -> None:
    assert list(references_inside(manifest.uri, manifest.sha256, platform.layers)) == list(parts.values())
    assert list(references_inside(parts["data"].uri, parts["data"].sha256, platform.layers)) == []


def test_a_raw_manifest_names_its_originals(platform: Platform) -> None:
    raw = platform.layers.raw
    known = raw.put_bytes("tmp", b"x")
    stored = raw.put_bytes(object_key(known.sha256), b"x")
    original = Original(stored.sha256, stored.uri, 1, "zeek-tsv", "conn", "none", "a.log", 1, 1)
    manifest = write_manifest([original], raw)
    assert list(references_inside(manifest.uri, manifest.sha256, platform.layers)) == [stored]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 1}', b"\xff"])
@pytest.mark.parametrize("layer", ["raw", "silver"])
def test_what_is_no_manifest_is_a_data_error(platform: Platform, layer: str, content: bytes) -> None:
    stored = platform.layers.stores()[layer].put_bytes("manifests/x.json", content)
    with pytest.raises(DataError):
        list(references_inside(stored.uri, stored.sha256, platform.layers))
    with pytest.raises(DataError, match="does not match"):
        list(references_inside(stored.uri, "00", platform.layers))


@pytest.mark.parametrize("damaged", ["data", "quarantine"])
@pytest.mark.parametrize("damage", [b"other", None])
def test_a_result_whose_part_is_damaged_is_made_again(
    platform: Platform, manifest: Reference, parts: dict[str, Reference], damaged: str, damage: bytes | None
) -> None:
    run_phase(platform, PHASE, lambda: Outcome({"manifest": manifest.to_dict()}))
    assert find_result(platform, PHASE) is not None
    silver = platform.layers.silver
    key = silver.key(parts[damaged].uri)
    if damage is None:
        silver.delete(key)
    else:
        silver.put_bytes(key, damage, overwrite=True)
    assert find_result(platform, PHASE) is None
