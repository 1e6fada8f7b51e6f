"""The laws for readers of others: our own keep them, and one that breaks one is told which."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pytest
from tests.ingestion.test_readers import ALL_READERS

from cybersec_mlops.ingestion.conformance import LAWS, check_reader
from cybersec_mlops.ingestion.reader import Batch, Reader

SAMPLES = Path(__file__).parent / "samples"
ZEEK = (SAMPLES / "zeek_conn.log").read_bytes()


@pytest.mark.parametrize("name", ["zeek_conn.log", "mapped.csv"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_our_own_readers_keep_them(law: Any, name: str) -> None:
    law(ALL_READERS["zeek_conn" if "zeek" in name else "firewall"], (SAMPLES / name).read_bytes())


class Broken:
    """A reader whose batches are changed on the way."""

    def __init__(self, change: Any) -> None:
        self._reader, self._change = ALL_READERS["zeek_conn"], change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = 1 << 20) -> Iterator[Batch]:
        for batch in self._reader.read(stream, source=source, batch_bytes=batch_bytes):
            yield dataclasses.replace(batch, rows=self._change(batch.rows))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.with_columns(raw_line=pl.lit(1, pl.Int64)), "lines_are_numbered"),
        (lambda rows: rows.with_columns(pl.col("service").fill_null("")), "unset_is_null"),
        (lambda rows: rows.with_columns(pl.col("duration_s") / 0), "unset_is_null"),
        (lambda rows: rows.drop("ts"), "the_sample_is_recognised"),
        (lambda rows: rows.with_columns(ts=pl.lit(None, rows.schema["ts"])), "the_sample_is_recognised"),
        (lambda rows: rows.with_columns(is_attack=pl.lit(value=True)), "labels_fit_together"),
        (lambda rows: rows.head(1), "rows_do_not_depend_on_the_batches"),
    ],
)
def test_a_law_that_is_broken_is_named(change: Any, told: str) -> None:
    reader: Any = Broken(change)
    with pytest.raises(AssertionError, match=told):
        check_reader(reader, ZEEK)


def test_what_a_reader_raises_on_damage_is_told() -> None:
    class Raising(Broken):
        def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = 1 << 20) -> Iterator[Batch]:
            data = stream.read()
            if b"#fields" not in data and data:
                raise KeyError("fields")
            stream.seek(0)
            yield from super().read(stream, source=source, batch_bytes=batch_bytes)

    reader: Reader = Raising(lambda rows: rows)
    with pytest.raises(KeyError):
        check_reader(reader, ZEEK)
