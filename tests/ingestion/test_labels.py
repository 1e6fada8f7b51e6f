"""Labels in one spelling."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.connections import BACKGROUND, BENIGN, LABEL_SCHEMA
from cybersec_mlops.ingestion.labels import LABEL_LIMIT, common_name, one_spelling, with_labels


@pytest.mark.parametrize(
    "text",
    [
        "Web Attack - XSS",
        "Web Attack \ufffd XSS",
        "Web Attack \u2013 XSS",
        "Web Attack â€“ XSS",
        "Web Attack ï¿½ XSS",
        "Web Attack \x96 XSS",
        "  Web  Attack -\tXSS ",
    ],
)
def test_one_attack_has_one_spelling(text: str) -> None:
    assert one_spelling(text) == "Web Attack - XSS"


@settings(deadline=None)
@given(st.text())
def test_spelling_is_idempotent_and_safe_to_show(text: str) -> None:
    once = one_spelling(text)
    assert one_spelling(once) == once
    assert len(once) <= LABEL_LIMIT
    assert once.isprintable() or all(ord(letter) >= 160 for letter in once if not letter.isprintable())


@pytest.mark.parametrize("text", ["Benign", "BENIGN", "normal", " Normal ", "LEGITIMATE", "BenignTraffic", "0"])
def test_benign_has_one_word(text: str) -> None:
    assert common_name(text) == BENIGN


@pytest.mark.parametrize("text", ["Unknown", "No Label", "NeedManualLabel", "-", "?", " "])
def test_a_word_that_says_nothing_is_no_attack(text: str) -> None:
    assert common_name(text) is None


def test_the_three_columns_follow_from_the_text() -> None:
    frame = with_labels(pl.DataFrame({"text": ["Normal", "Worm", "background", " ", None]}), "text", common_name)
    assert {name: frame.schema[name] for name in LABEL_SCHEMA} == LABEL_SCHEMA
    assert frame.select(*LABEL_SCHEMA).rows() == [
        (BENIGN, "Normal", False),
        ("Worm", "Worm", True),
        (BACKGROUND, "background", None),
        (None, " ", None),
        (None, None, None),
    ]


def test_no_rows_and_no_labels_are_fine() -> None:
    for texts in ([], [None]):
        frame = with_labels(pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)}), "text", common_name)
        assert frame["label"].null_count() == len(texts)
        assert {name: frame.schema[name] for name in LABEL_SCHEMA} == LABEL_SCHEMA
