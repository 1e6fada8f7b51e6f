"""Rows that are set aside."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.connections import REJECTED_TEXT_LIMIT
from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.reader import REJECTED_ROWS
from cybersec_mlops.ingestion.rejected import Rejected, printable


def test_rows_come_in_the_order_of_their_lines() -> None:
    rejected, lines = Rejected(), Lines(b"first\nsecond\nthird\n", 10)
    rejected.add(lines, 2, "bad_port", field="orig_p", detail="three")
    rejected.add(lines, 0, "ragged_row", detail="one")
    frame = rejected.frame()
    assert dict(frame.schema) == REJECTED_ROWS
    assert frame.rows() == [(10, "ragged_row", None, "one", "first"), (12, "bad_port", "orig_p", "three", "third")]


def test_no_rows_still_have_the_columns() -> None:
    assert dict(Rejected().frame().schema) == REJECTED_ROWS


@settings(deadline=None)
@given(st.text(), st.integers(0, 40))
def test_what_is_shown_is_short_and_cannot_steer_a_terminal(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert not any((ord(letter) < 32 and letter != "\t") or 127 <= ord(letter) < 160 for letter in shown)


def test_a_hostile_line_is_kept_in_a_form_that_is_safe_to_show() -> None:
    rejected = Rejected()
    rejected.add(Lines(b"\x1b]0;owned\x07" + b"\xff" * 9000 + b"\n", 1), 0, "not_utf8", detail="\x1b[31m")
    ((_, _, _, detail, text),) = rejected.frame().rows()
    assert detail == "\\x1b[31m"
    assert text.startswith("\\x1b]0;owned\\x07\ufffd")
    assert len(text) == REJECTED_TEXT_LIMIT
