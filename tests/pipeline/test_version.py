"""The code version names the code and what shapes its results."""

from __future__ import annotations

import re

from cybersec_mlops import __version__
from cybersec_mlops.config import Settings
from cybersec_mlops.pipeline.version import RESULT_SHAPING, code_facts, code_version


def test_it_is_the_version_and_a_hash() -> None:
    assert re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{12}}", code_version())


def test_commit_and_image_are_told_where_they_are_known() -> None:
    facts = code_facts(Settings(git_commit="abc"))
    assert facts["commit"] == "abc"
    assert "image" not in facts
    assert set(RESULT_SHAPING) <= set(facts)
