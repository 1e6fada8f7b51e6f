"""What is hidden, by Unicode's own account."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable

import pytest

from cybersec_mlops.hidden import HIDDEN
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.pipeline.alerts import clean
from cybersec_mlops.pipeline.artifacts import escape_markdown
from cybersec_mlops.presentation import safe

SHAPING = ("ARABIC ", "SYRIAC ", "KAITHI ", "EGYPTIAN ", "SHORTHAND ", "MUSICAL ")
"""Signs that join or carry others of their script: they are seen."""


def is_hidden(character: str) -> bool:
    kind, name = unicodedata.category(character), unicodedata.name(character, "")
    unseen = kind in ("Cc", "Zl", "Zp") or (kind == "Cf" and not name.startswith(SHAPING)) or "LETTER MARK" in name
    return unseen and character not in "\t\n"


def test_controls_directions_and_what_has_no_width_are_hidden_and_nothing_else_is() -> None:
    pattern = re.compile(f"[{HIDDEN}]")
    given = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) != "Cn"]
    assert [c for c in given if bool(pattern.match(c)) != is_hidden(c)] == []


@pytest.mark.parametrize("shown", [printable, escape_markdown, clean, lambda text: safe(text).plain])
@pytest.mark.parametrize("text", ["\x1b[31m", "\u202egnp", "zero\u200bwidth", "\ufeffmark", "tag\U000e0041", "\x9b2J"])
def test_no_place_shows_them(shown: Callable[[str], str], text: str) -> None:
    assert not re.search(f"[{HIDDEN}]", shown(text))
    assert "ä ñ 漢" in shown("ä ñ 漢")
