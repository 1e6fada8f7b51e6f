from __future__ import annotations

import json

import pytest

from cybersec_mlops.storage.reference import Reference


@pytest.mark.parametrize("rows", [None, 0, 7])
def test_the_json_form_and_back(rows: int | None) -> None:
    reference = Reference("s3://b/k", "a" * 64, 5, rows)
    assert Reference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference
    assert sorted(reference.to_dict()) == ["bytes", "rows", "sha256", "uri"]
