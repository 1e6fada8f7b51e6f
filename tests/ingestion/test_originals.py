"""What RAW knows of its originals."""

from __future__ import annotations

import json

import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.originals import (
    Original,
    object_key,
    read_manifest,
    receipt_key,
    share,
    write_manifest,
    write_receipt,
)
from cybersec_mlops.storage.objects import ObjectStore


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> ObjectStore:
    return ObjectStore.from_url(f"memory://originals-{request.node.name}")


def original(raw: ObjectStore, letter: str = "a", **changes: object) -> Original:
    sha256 = letter * 64
    values = {
        "sha256": sha256,
        "uri": raw.uri(object_key(sha256)),
        "bytes": 9,
        "format": "zeek_conn",
        "variant": "tsv",
        "compression": "none",
        "source_name": f"{letter}.log",
        "lines": 3,
        "decompressed_bytes": 9,
        "ignored": ("x",),
        "notes": ("labelled",),
        "stored": True,
    }
    return Original.from_dict({**values, **changes})


def test_an_original_survives_json(raw: ObjectStore) -> None:
    one = original(raw)
    assert Original.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert one.reference.sha256 == one.sha256


def test_a_receipt_is_written_once_and_keeps_the_first_name(raw: ObjectStore) -> None:
    assert write_receipt(original(raw), raw).source_name == "a.log"
    again = write_receipt(original(raw, source_name="copy.log"), raw)
    assert again.source_name == "a.log"
    receipt = json.loads(raw.get_bytes(receipt_key("a" * 64)))
    assert receipt["source_name"] == "a.log"
    assert receipt["lines"] == 3
    assert "stored" not in receipt


def test_the_manifest_is_of_the_bytes_and_nothing_else(raw: ObjectStore) -> None:
    one, two = original(raw), original(raw, "b")
    reference = write_manifest([one, two], raw)
    renamed = original(raw, "b", source_name="else.log", stored=False, notes=())
    assert write_manifest([renamed, one, renamed], raw) == reference
    assert write_manifest([one], raw) != reference
    other = ObjectStore.from_url("memory://elsewhere")
    assert write_manifest([original(other), original(other, "b")], other).sha256 == reference.sha256
    assert b".log" not in raw.get_bytes(raw.key(reference.uri))


def test_a_manifest_reads_back_with_the_names_of_the_receipts(raw: ObjectStore) -> None:
    one, two = original(raw, stored=False), original(raw, "b", stored=False)
    for some in (one, two):
        write_receipt(some, raw)
    assert read_manifest(write_manifest([two, one], raw), raw) == (one, two)


def test_a_manifest_without_receipts_still_reads(raw: ObjectStore) -> None:
    (found,) = read_manifest(write_manifest([original(raw)], raw), raw)
    assert found.source_name == found.uri == raw.uri(object_key("a" * 64))


def test_something_else_is_no_manifest(raw: ObjectStore) -> None:
    with pytest.raises(DataError, match="is not a manifest of originals"):
        read_manifest(raw.put_bytes("x.json", b"{}"), raw)


def test_originals_of_one_format_tell_each_other_what_they_have_to_share(raw: ObjectStore) -> None:
    ours = [
        original(raw, letter, format="netflow", shared=shared) for letter, shared in (("a", ("02", "01")), ("b", ()))
    ]
    other = original(raw, "c")
    assert [one.shared for one in share([*ours, other])] == [("01", "02"), ("01", "02"), ()]
    assert [one.shared for one in share([other, *reversed(ours)])] == [(), ("01", "02"), ("01", "02")]


def test_what_is_shared_comes_back_from_the_receipt(raw: ObjectStore) -> None:
    one = write_receipt(original(raw, format="netflow", shared=("00ff",)), raw)
    (read,) = read_manifest(write_manifest([one], raw), raw)
    assert read.shared == ("00ff",)
