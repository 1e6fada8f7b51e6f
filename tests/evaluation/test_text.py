from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.evaluation.text import markdown, number, percent, plain, size


@given(st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_plain_text_is_one_short_line_without_invisible_characters(value: str) -> None:
    shown = plain(value)
    assert len(shown) <= 80 * 10 + 40
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in shown)


@given(st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_only_what_is_exactly_all_or_nothing_is_shown_so(rate: float) -> None:
    shown = percent(rate)
    assert (shown == "100 %") == (rate == 1)
    assert (shown == "0 %") == (rate == 0)
    assert (number(rate) == "1.000") == (rate == 1)


def test_a_long_label_is_shortened_and_says_how_long_it_was() -> None:
    assert plain("A" * 10_240).endswith("… (10,240 characters)")


def test_what_is_unset_is_a_dash() -> None:
    assert percent(None) == number(None) == size(None) == "\N{EN DASH}"


def test_markdown_shows_hostile_text_as_it_is() -> None:
    shown = markdown("[x](javascript:alert(1)) <img src=x> | `code` $x^2$")
    assert "<" not in shown
    assert "\\[x\\]\\(javascript\\:alert" in shown
    assert "\\|" in shown
    assert "\\`code\\`" in shown
