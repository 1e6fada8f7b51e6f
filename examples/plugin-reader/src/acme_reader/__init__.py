"""Reads the flow table of ACME routers (which do not exist): an example of a format as a plug-in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import polars as pl

from cybersec_mlops.ingestion.connection_rules import (
    not_a_duration,
    not_a_port,
    not_a_time,
    not_an_address,
    parse_times,
)
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.labels import common_name, with_labels
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.screening import below_zero, missing
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table

COLUMNS = {
    "when": Column("when", pl.String()),
    "client": Column("orig_h", pl.String()),
    "client_port": Column("orig_p", pl.Int64(), "bad_port", "a port 0-65535"),
    "server": Column("resp_h", pl.String()),
    "server_port": Column("resp_p", pl.Int64(), "bad_port", "a port 0-65535"),
    "proto": Column("proto", pl.String()),
    "ms": Column("duration_s", pl.Float64(), "bad_duration", "milliseconds"),
    "bytes_up": Column("orig_bytes", pl.Int64(), "bad_count", "a count"),
    "bytes_down": Column("resp_bytes", pl.Int64(), "bad_count", "a count"),
    "zone": Column("acme_zone", pl.String()),
    "verdict": Column("verdict", pl.String()),
}
"""Name in the file to the column that it becomes: canonical, native (with the format's name before it), or our own."""


@dataclass(frozen=True)
class Acme:
    """The flow table of ACME routers.

    Parameters
    ----------
    timezone : str
        Zone of the router's times. A reader that is a dataclass with this field is given the run's ``timezone``.
    """

    timezone: str = "UTC"

    name = "acme"
    has_time = True

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """Return what there is beside the canonical columns."""
        return {"acme_zone": pl.String()}

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """Return columns that give the label away: none."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the header."""
        names = names_of(head.data.partition(b"\n")[0])
        if not set(names) >= COLUMNS.keys():
            return None
        ignored = tuple(name for name in names if name not in COLUMNS)
        note = f"its times have no zone; they are read as {self.timezone}"
        return Recognition(self.name, "table", has_time=True, ignored=ignored, notes=(note,))

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table."""
        del source  # for errors; this format has none of its own
        table = Table(self._form, expected="the header: when, client, ...")
        return read_table(self, table, stream, batch_bytes=batch_bytes)

    def _form(self, names: list[str]) -> Form | None:
        if not set(names) >= COLUMNS.keys():
            return None
        rules = (
            *(missing(name) for name in ("orig_h", "resp_h", "proto")),
            not_a_time("when", "ts", "a time such as 2026-11-23 10:00:00"),
            *(not_an_address(name) for name in ("orig_h", "resp_h")),
            *(not_a_port(name) for name in ("orig_p", "resp_p")),
            *(below_zero(name) for name in ("orig_bytes", "resp_bytes")),
            not_a_duration(),
        )
        return Form(Layout(",", tuple(COLUMNS.get(name) for name in names)), rules, self._prepare, self._finish)

    def _prepare(self, frame: pl.DataFrame) -> pl.DataFrame:
        times = parse_times(frame["when"], ["%Y-%m-%d %H:%M:%S"], self.timezone)
        return frame.with_columns(times.alias("ts"), pl.col("duration_s") / 1e3)

    def _finish(self, frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.with_columns(
            pl.col("proto").str.to_lowercase(), verdict=pl.col("verdict").replace({"ok": "benign", "": None})
        )
        return with_labels(frame, "verdict", common_name)
