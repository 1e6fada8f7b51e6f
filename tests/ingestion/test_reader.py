"""The interface that every format has."""

from __future__ import annotations

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA
from cybersec_mlops.ingestion.kdd import NSLKDD
from cybersec_mlops.ingestion.reader import MAX_RULES, OTHER_RULES, REJECTED_ROWS, Batch, add_skipped, batch_schema


def test_a_batch_accounts_for_every_row() -> None:
    rows = pl.DataFrame({"a": [1, 2]})
    rejected = pl.DataFrame([(1, "r", None, "d", "t")], schema=REJECTED_ROWS, orient="row")
    assert Batch(rows, rejected, {"blank_line": 3, "repeated_header": 4}, {"a": 9}).read == 10
    assert Batch(rows, rejected).read == 3


def test_a_batch_begins_with_the_canonical_columns() -> None:
    names = list(batch_schema(NSLKDD()))
    assert names[: len(CONNECTION_SCHEMA) + len(LABEL_SCHEMA) + 1] == [*CONNECTION_SCHEMA, *LABEL_SCHEMA, "raw_line"]
    assert "raw_sha256" not in [*names, *REJECTED_ROWS]


def test_rules_that_hold_a_word_of_the_log_are_bounded_and_no_row_is_lost() -> None:
    total: dict[str, int] = {}
    for number in range(3 * MAX_RULES):
        add_skipped(total, {f"other_stream:{number}": 2})
    assert len(total) == MAX_RULES + 1
    assert total[OTHER_RULES] == 4 * MAX_RULES
