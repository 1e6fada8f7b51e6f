"""What a log says cannot become Markdown or HTML in the UI."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.pipeline.artifacts import escape_markdown


@given(st.text(max_size=300))
def test_nothing_special_is_left_bare(text: str) -> None:
    shown = escape_markdown(text)
    bare = shown.replace("\\\\", "")
    for special in "<>|`[]()*_&$":
        assert bare.count(special) == bare.count(f"\\{special}")
    assert "\n" not in shown


def test_long_texts_are_cut() -> None:
    assert len(escape_markdown("x" * 10_000)) == 200
