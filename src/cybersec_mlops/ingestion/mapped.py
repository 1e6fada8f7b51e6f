"""The reader of tables that a mapping explains: separated values, JSON records, Parquet; and of our own columns.

A mapping makes a format of its own, under the mapping's name. `Canonical` is the one that needs no mapping: tables
whose columns already have canonical names, such as SILVER parts that were exported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import mapped_values, parquet
from cybersec_mlops.ingestion.delimited import Column, Layout, read_cells
from cybersec_mlops.ingestion.json_lines import (
    broken_lines,
    is_readable,
    json_fault,
    objects_of,
    objects_only,
    parse_objects,
    record_lines,
)
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.lines import BOM, Lines, clean, read_lines
from cybersec_mlops.ingestion.mapped_values import FLAG, LABEL, ORIGINAL
from cybersec_mlops.ingestion.mapping import TS_END, LabelMapping, TableMapping
from cybersec_mlops.ingestion.reader import BATCH_BYTES, REJECTED_ROWS, Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.rejected import Located, Rejected, printable
from cybersec_mlops.ingestion.screening import Rule, conform, screen
from cybersec_mlops.ingestion.tables import names_of

JSON_KEYS: Final = 1_000
"""Records at a file's beginning whose keys are looked at."""
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Columns:
    """What the beginning of a table says of its columns."""

    kind: str
    """"csv", "json" or "parquet"."""
    names: tuple[str, ...]
    unusable: Mapping[str, str]
    """Columns that cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A format that a mapping makes.

    Parameters
    ----------
    mapping : TableMapping
        What the columns mean.
    timezone : str
        IANA zone of times that do not say theirs, where the mapping names none.
    """

    mapping: TableMapping
    timezone: str = "UTC"

    @property
    def name(self) -> str:
        """The mapping's name."""
        return self.mapping.name

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """Columns that the mapping keeps beside the canonical ones."""
        return self.mapping.native

    @property
    def has_time(self) -> bool:
        """Whether a column is mapped to ``ts``."""
        return "ts" in self.mapping.targets.values()

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """None are known."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise a table that has the columns of the mapping."""
        try:
            columns = columns_of(head, self.mapping)
        except DataError as error:
            return Refusal(error.message, hint=error.hint)
        if columns is None:
            return None
        lacking = [name for name in self.mapping.required if name not in columns.names]
        if lacking:
            there = len(self.mapping.required) - len(lacking)
            return Refusal(
                f'does not fit the mapping "{self.name}": {_listed(lacking)} not among its columns '
                f"{_listed(columns.names)}",
                hint="correct the names in the mapping; a column that only some files have is optional = true",
                passable=2 * there < len(self.mapping.required),
            )
        used = self._used(columns.names)
        if bad := [name for name in used if name in columns.unusable]:
            words = f'the column "{printable(bad[0], 60)}" {columns.unusable[bad[0]]}'
            return Refusal(f'{words}, which the mapping "{self.name}" cannot read', hint="write it as plain columns")
        if columns.kind == "csv" and head.complete and self.mapping.header and _one_line(head):
            return Refusal("a table with a header and no rows", hint="give a table with connections", passable=True)
        ignored = tuple(name for name in columns.names if name not in used)
        return Recognition(self.name, columns.kind, self.has_time, ignored, self._notes(used))

    def _notes(self, used: Mapping[str, str]) -> tuple[str, ...]:
        notes = [f'read by the mapping "{self.name}"']
        if self.mapping.label is not None:
            there = {LABEL, FLAG} & set(used.values())
            notes.append("labelled" if there else "the mapping's label columns are not there: unlabelled")
        times = [one for one in self.mapping.columns.values() if one.to == "ts" and "epoch" not in one.formats[0]]
        if times:
            zone = times[0].timezone or self.mapping.timezone or self.timezone
            notes.append(f"times that do not say their zone are read as {zone}")
        return tuple(notes)

    def _used(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return the columns that are read: name to target."""
        wanted = dict(self.mapping.targets)
        if (label := self.mapping.label) is not None:
            for name, target in ((label.column, LABEL), (label.is_attack, FLAG), (label.original, ORIGINAL)):
                if name is not None:
                    wanted.setdefault(name, target)
        return {name: wanted[name] for name in dict.fromkeys(names) if name in wanted}

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table; see `Reader.read`. The line of a Parquet row is its number, from 1."""
        start, stream = parquet.peek(stream)
        if parquet.is_parquet(start):
            return self._read_parquet(stream, source)
        if is_json(start):
            return self._read_json(stream, source, batch_bytes)
        return self._read_text(stream, source, batch_bytes)

    def _read_text(self, stream: BinaryIO, source: str, batch_bytes: int) -> Iterator[Batch]:
        mapping = self.mapping
        layout, header = (None, b"") if mapping.header else (self._layout(mapping.names), b"")
        for block in read_lines(stream, batch_bytes=batch_bytes):
            rejected, skipped = Rejected(), dict[str, int]()
            lines = clean(block, rejected, skipped, encoding=mapping.encoding)
            if layout is None and lines.height:
                header = lines.raw(0)
                names = tuple(names_of(header, mapping.separator))
                layout = self._layout(names)
                if lacking := [name for name in mapping.required if name not in names]:
                    raise DataError(f"does not fit the mapping: line 1 has no {_listed(lacking)}", source=source)
                if not any(layout.columns):
                    raise DataError(f"line 1 has none of the columns of {self.name}", source=source)
                lines = lines.part(1, lines.height)
            if layout is not None:
                lines = _without_headers(lines, header, skipped)
                cells = read_cells(lines, layout, rejected, quoted=True)
                yield from self._batch(cells.frame, cells.lines, layout.cell, rejected, skipped)
            elif rejected.count or skipped:
                yield from self._batch(pl.DataFrame(), lines, Layout(",", ()).cell, rejected, skipped)

    def _layout(self, names: tuple[str, ...]) -> Layout:
        used = self._used(names)
        seen: set[str] = set()
        columns: list[Column | None] = []
        for name in names:
            columns.append(Column(used[name], pl.String()) if name in used and name not in seen else None)
            seen.add(name)
        return Layout(self.mapping.separator, tuple(columns))

    def _read_json(self, stream: BinaryIO, source: str, batch_bytes: int) -> Iterator[Batch]:
        wanted = self._used((*self.mapping.columns, *_label_names(self.mapping.label)))
        schema = dict.fromkeys(wanted, pl.String())

        def value(line: bytes, field: str) -> str | None:
            found = json.loads(line).get(next((name for name, target in wanted.items() if target == field), None))
            return found if isinstance(found, str) or found is None else json.dumps(found)

        for block in record_lines(stream, source=source, batch_bytes=batch_bytes):
            rejected, skipped = Rejected(), dict[str, int]()
            lines = objects_only(clean(block, rejected, skipped), rejected, skipped)
            frame, lines = _records(lines, schema, rejected)
            yield from self._batch(frame.rename(wanted), lines, value, rejected, skipped)

    def _read_parquet(self, stream: BinaryIO, source: str) -> Iterator[Batch]:
        with parquet.seekable(stream) as file:
            try:
                footer = parquet.footer_of(file)
                used = self._used(tuple(footer.columns))
                if unusable := [name for name in used if name in footer.unusable]:
                    raise DataError(f'the column "{unusable[0]}" {footer.unusable[unusable[0]]}')
                if lacking := [name for name in self.mapping.required if name not in used]:
                    raise DataError(f"does not fit the mapping: it has no {_listed(lacking)}")
                for rows in parquet.read_rows(file, list(used)):
                    yield from self._parquet_batch(rows, used)
            except DataError as error:
                raise DataError(error.message, hint=error.hint, source=source) from error

    def _parquet_batch(self, rows: parquet.Rows, used: Mapping[str, str]) -> Iterator[Batch]:
        records = Records(rows.frame.rename(dict(used)), rows.first)
        expected = f"at most {parquet.MAX_TEXT_BYTES} bytes"
        long = {
            Rule(used[name], "text_too_long", expected, pl.lit(value=False)): where
            for name, where in rows.too_long.items()
        }
        yield from self._batch(records.frame, records, _value_of_record, Rejected(), {}, long)

    def _batch(
        self,
        frame: pl.DataFrame,
        lines: Located,
        value: mapped_values.Value,
        rejected: Rejected,
        skipped: dict[str, int],
        failed: Mapping[Rule, pl.Series] | None = None,
    ) -> Iterator[Batch]:
        schema = batch_schema(self)
        kept, nulled = pl.DataFrame(schema=schema), dict[str, int]()
        if frame.height:
            frame, unread, nulled = mapped_values.to_canonical(frame, self.mapping, self.timezone)
            frame = frame.with_columns(lines.numbers().alias("raw_line"))
            broken = {**(failed or {}), **unread}
            rules = mapped_values.rules(frame, self.mapping)
            direct = "duration_s" in self.mapping.targets.values()
            shown = lambda line, field: value(line, field if direct or field != "duration_s" else TS_END)  # noqa: E731
            frame = screen(frame, lines, rules, rejected, failed=broken, value=shown)
            kept = conform(mapped_values.finish(frame, self.mapping), schema)
        batch = Batch(kept, rejected.frame(), skipped, nulled)
        if batch.read:
            yield batch


class Records:
    """Rows of a table that is no text, as lines of JSON: for those that are set aside."""

    def __init__(self, frame: pl.DataFrame, first: int) -> None:
        self.frame, self._first = frame, first

    def raw(self, index: int) -> bytes:
        """Return a row as JSON."""
        return json.dumps(self.frame.row(index, named=True), default=str).encode()

    def number(self, index: int) -> int:
        """Return the number of a row in the file, from 1."""
        return self._first + index

    def numbers(self) -> pl.Series:
        """Return the numbers of all rows."""
        return pl.int_range(self._first, self._first + self.frame.height, dtype=pl.Int64, eager=True)


def _value_of_record(line: bytes, field: str) -> str | None:
    value = json.loads(line).get(field)
    return None if value is None else str(value)


def _label_names(label: LabelMapping | None) -> tuple[str, ...]:
    return tuple(name for name in (label.column, label.is_attack, label.original) if name) if label else ()


def _records(lines: Lines, schema: dict[str, pl.String], rejected: Rejected) -> tuple[pl.DataFrame, Lines]:
    """Parse objects, every value as text; lines that are no sound JSON are set aside."""
    parse = partial(parse_objects, schema=schema, ignore_errors=True)
    try:
        return parse(lines), lines
    except pl.exceptions.PolarsError:
        pass
    broken = broken_lines(lines, partial(is_readable, parse=parse), json_fault)
    for index, fault in broken.items():
        rejected.add(lines, index, "not_json", detail=fault or "no sound JSON: nested too deeply")
    lines = lines.edit(dict.fromkeys(broken))
    return parse(lines), lines


def _without_headers(lines: Lines, header: bytes, skipped: dict[str, int]) -> Lines:
    if not header or header not in lines.data:
        return lines
    repeated = [index for index in range(lines.height) if lines.raw(index) == header]
    if repeated:
        skipped["repeated_header"] = skipped.get("repeated_header", 0) + len(repeated)
    return lines.edit(dict.fromkeys(repeated))


def _one_line(head: Head) -> bool:
    return b"\n" not in head.data.removeprefix(BOM).strip()


def _listed(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(f'"{printable(name, 40)}"' for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return shown + more or "(none)"


def is_json(data: bytes) -> bool:
    """Say whether a file of this beginning has JSON records."""
    return data.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def columns_of(head: Head, mapping: TableMapping | None = None) -> Columns | None:
    """Return the columns of a table; None where the file is none.

    Raises
    ------
    DataError
        A Parquet file that cannot be used.
    """
    if parquet.is_parquet(head.data):
        footer = parquet.read_footer(head.tail)
        return Columns("parquet", tuple(footer.columns), footer.unusable)
    if is_json(head.data):
        plain: dict[str, bool] = {}
        for _, record in zip(range(JSON_KEYS), objects_of(head), strict=False):
            for name, value in record.items():
                plain[name] = plain.get(name, False) or not isinstance(value, dict | list)
        names = tuple(plain)[: current().max_columns]
        unusable = {name: "holds objects or arrays" for name in names if not plain[name]}
        return Columns("json", names, unusable) if names else None
    first = head.data.removeprefix(BOM).lstrip(b"\r\n").partition(b"\n")[0]
    separator = mapping.separator if mapping else separator_of(first)
    if first.count(separator.encode()) >= current().max_columns or b"\0" in first:
        return None
    names_there = tuple(names_of(first, separator))
    if mapping is not None and not mapping.header:
        return Columns("csv", mapping.names, {}) if len(names_there) == len(mapping.names) else None
    return Columns("csv", names_there, {}) if len(names_there) > 1 else None


def separator_of(line: bytes) -> str:
    r"""Return the likely separator of a header line.

    >>> separator_of(b"a;b;c"), separator_of(b"a\tb"), separator_of(b"a")
    (';', '\t', ',')
    """
    return max(",;\t|", key=lambda mark: line.count(mark.encode()))


_TELLING: Final = frozenset({"orig_h", "resp_h", "duration_s"})
"""Canonical names that no other format uses."""
_ENOUGH: Final = 4

IDENTITY: Final = TableMapping.model_validate(
    {
        "name": "canonical",
        "columns": {name: {"to": name, "optional": True} for name in CONNECTION_SCHEMA},
        "label": {"column": "label", "is_attack": "is_attack", "original": "label_original"},
    }
)
"""Every column is what its name says."""


@dataclass(frozen=True, slots=True)
class Canonical(Mapped):
    """Tables whose columns have canonical names: SILVER that was exported, tables that somebody prepared."""

    mapping: TableMapping = IDENTITY
    timezone: str = "UTC"

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise canonical names, among them one that no other format has."""
        try:
            columns = columns_of(head)
        except DataError as error:
            return Refusal(error.message, hint=error.hint)
        if columns is None or (columns.kind == "csv" and separator_of(head.data.partition(b"\n")[0]) != ","):
            return None
        known = set(columns.names) & CONNECTION_SCHEMA.keys()
        if len(known) < _ENOUGH or not known & _TELLING:
            return None
        answer = Mapped.recognise(self, head)
        if not isinstance(answer, Recognition):
            return answer
        labels = ("labelled",) if {"label", "is_attack"} & set(columns.names) else ()
        return Recognition(self.name, columns.kind, "ts" in known, answer.ignored, labels)


__all__ = ["IDENTITY", "REJECTED_ROWS", "Canonical", "Columns", "Mapped", "Records", "columns_of", "separator_of"]
