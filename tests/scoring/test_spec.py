from __future__ import annotations

import pytest
from pydantic import ValidationError

from cybersec_mlops.scoring.spec import ScoringSpec


@pytest.mark.parametrize("wrong", [{"per_day": 0}, {"reasons": -1}, {"model": ""}, {"password": "x"}])
def test_what_is_out_of_range_or_unknown_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ScoringSpec.model_validate(wrong)


def test_by_default_the_champion_tells_all() -> None:
    assert ScoringSpec() == ScoringSpec(model="champion", per_day=None, reasons=5, out=None)
