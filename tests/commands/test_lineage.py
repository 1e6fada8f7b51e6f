"""What the manifests of RAW and SILVER name is found, and what cannot be read is said."""

from __future__ import annotations

import pytest
from tests.commands.conftest import HOSTILE, World

from cybersec_mlops.audit.lineage import trace
from cybersec_mlops.commands.lineage import Manifests, trace_document
from cybersec_mlops.errors import PlatformError
from cybersec_mlops.storage.layers import Layers


def test_a_manifest_gives_what_it_names_and_everything_else_gives_nothing(world: World) -> None:
    manifests = Manifests(world.platform.layers)
    assert [one["uri"] for one in manifests(world.raw_manifest.to_dict())] == [world.raw.uri]
    [part] = manifests(world.silver.to_dict())
    assert world.platform.layers.silver.get_bytes(world.platform.layers.silver.key(part["uri"]))
    for other in (world.raw, *world.bundles):
        assert list(manifests(other.to_dict())) == []
    assert manifests.unread == {}


@pytest.mark.parametrize("content", [b"{}", b"not json", b"", None])
def test_what_cannot_be_read_is_noted(world: World, content: bytes | None) -> None:
    for reference, store in (
        (world.raw_manifest, world.platform.layers.raw),
        (world.silver, world.platform.layers.silver),
    ):
        manifests = Manifests(world.platform.layers)
        if content is None:
            store.delete(store.key(reference.uri))
        else:
            store.put_bytes(store.key(reference.uri), content, overwrite=True)
        assert list(manifests(reference.to_dict())) == []
        assert list(manifests.unread) == [reference.uri]


def test_a_store_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S", "0.1")
    manifests = Manifests(Layers.open("s3://away-{layer}"))
    with pytest.raises(PlatformError):
        list(manifests({"uri": "s3://away-raw/manifests/a.json", "sha256": "00"}))


def test_an_original_is_told_with_the_name_it_came_with(world: World) -> None:
    found = trace(world.platform.audit, "day@1", contents=Manifests(world.platform.layers))
    assert trace_document(found)["sources"][0]["names"] == [HOSTILE]
