"""The limits, and where they hold."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.limits import Limits, applied, current

ROOT = Path(__file__).resolve().parents[2]


def test_limits_hold_inside_and_end_whatever_happens() -> None:
    before = current()
    with pytest.raises(KeyError), applied(Limits(max_columns=3)):
        fail_inside()
    assert current() == before == Limits()


def fail_inside() -> None:
    assert current().max_columns == 3
    with applied(None):
        assert current().max_columns == 3
    raise KeyError


@pytest.mark.parametrize("name", Limits.model_fields)
def test_no_limit_can_be_nothing_or_infinite(name: str) -> None:
    for value in (-1, float("inf"), float("nan")):
        with pytest.raises(ValidationError):
            Limits.model_validate({name: value})


def test_the_example_and_the_table_of_the_documentation_name_every_limit_with_its_default() -> None:
    assert RunSpec.parse(tomllib.loads((ROOT / "examples" / "run.toml").read_text()), where="it").limits == Limits()
    lines = (ROOT / "docs" / "security.md").read_text().splitlines()
    for name in Limits.model_fields:
        assert any(line.startswith("|") and f"`{name}`" in line for line in lines), name


def test_a_limit_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"limits\.max_colums"):
        RunSpec.parse({"limits": {"max_colums": 3}}, where="it")
