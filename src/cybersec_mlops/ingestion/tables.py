"""How a table of separated values is read once a format has said what its columns are.

A format gives a `Form` for a header line; this file does the rest: blocks, headers repeated within the file, screening,
labels, the exact columns of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final

import numpy as np
import polars as pl

from cybersec_mlops.ingestion.delimited import Layout, read_cells, split_quoted
from cybersec_mlops.ingestion.in_order import in_order
from cybersec_mlops.ingestion.json_lines import lines_where
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.lines import BOM, Encoding, Lines, clean, read_lines
from cybersec_mlops.ingestion.reader import Batch, Reader, batch_schema
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.ingestion.screening import Rule, conform, screen, without_impossible


def unchanged(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame as it is."""
    return frame


@dataclass(frozen=True, slots=True)
class Form:
    """What a header line says about the rows below it."""

    layout: Layout
    rules: tuple[Rule, ...]
    prepare: Callable[[pl.DataFrame], pl.DataFrame] = unchanged
    """Makes what the rules look at, row by row."""
    finish: Callable[[pl.DataFrame], pl.DataFrame] = unchanged
    """Makes the canonical and native columns of the rows that keep the rules."""
    measures: tuple[str, ...] = ()
    """Columns of which a value below 0, or one that is not finite, becomes null and is counted, before `finish`."""
    impossible: Callable[[pl.DataFrame], dict[str, int]] | None = None
    """Counts the values that `finish` will set to null, by column, on the rows that keep the rules."""
    passed_over: Mapping[str, pl.Expr] = field(default_factory=dict)
    """Rows that are no connections, by the reason under which they are skipped and counted; the first one counts."""


@dataclass(frozen=True, slots=True)
class Table:
    """How a format's tables begin."""

    form_of_header: Callable[[list[str]], Form | None]
    """Gives the form of a header's names; None when the line is no header."""
    form_of_row: Callable[[list[str]], Form | None] | None = None
    """Gives the form of a first row without a header, where the format allows it."""
    encoding: Encoding = "utf-8"
    expected: str = "a header"
    """What a file begins with, in words."""
    passed_over: Mapping[bytes, str] = field(default_factory=dict)
    """Beginnings of lines, in lower case, that are no rows; by the reason under which they are skipped and counted."""


def names_of(line: bytes, separator: str = ",") -> list[str]:
    """Return the values of a header line, without the blanks and the quotes around them."""
    text = line.removeprefix(BOM).rstrip(b"\r\n")
    cells = split_quoted(text, separator) if b'"' in text else text.decode(errors="replace").split(separator)
    return [cell.strip() for cell in cells or ()]


def read_table(reader: Reader, table: Table, stream: BinaryIO, *, batch_bytes: int) -> Iterator[Batch]:
    """Read a table; see `Reader.read`."""
    work = partial(_read_block, schema=batch_schema(reader))
    for batch in in_order(work, _blocks(table, stream, batch_bytes)):
        if batch.read:
            yield batch


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows with the form that holds for them."""

    rows: list[tuple[Form, Lines]]
    rejected: Rejected
    skipped: dict[str, int]


def _blocks(table: Table, stream: BinaryIO, batch_bytes: int) -> Iterator[_Block]:
    form: Form | None = None
    known: dict[bytes, Form] = {}
    for block in read_lines(stream, batch_bytes=batch_bytes):
        rejected, skipped = Rejected(), dict[str, int]()
        lines = clean(block, rejected, skipped, encoding=table.encoding)
        lines = _without(table.passed_over, lines, skipped)
        runs = list(_runs(lines, form, table, known, rejected, skipped))
        form = runs[-1].form
        yield _Block(list(_by_form(lines, runs, table, rejected)), rejected, skipped)


def _without(beginnings: Mapping[bytes, str], lines: Lines, skipped: dict[str, int]) -> Lines:
    """Take away the lines of these beginnings, which are counted."""
    if not beginnings or not lines.height:
        return lines
    marks = np.frombuffer(bytes({beginning[0] for beginning in beginnings}), np.uint8)
    over = dict[int, bytes | None]()
    for index in np.flatnonzero(np.isin(lines.codes[lines.starts], marks)).tolist():
        line = lines.raw(index).lower()
        if (reason := next((why for begin, why in beginnings.items() if line.startswith(begin)), None)) is not None:
            over[index] = None
            skipped[reason] = skipped.get(reason, 0) + 1
    return lines.edit(over)


def _read_block(block: _Block, schema: Mapping[str, pl.DataType]) -> Batch:
    rejected, skipped, nulled = block.rejected, block.skipped, dict[str, int]()
    frames = [conform(_read_rows(rows, form, rejected, skipped, nulled), schema) for form, rows in block.rows]
    kept = pl.concat(frames) if frames else pl.DataFrame(schema=schema)
    return Batch(kept if len(frames) < 2 else kept.sort("raw_line"), rejected.frame(), skipped, nulled)


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines between two headers."""

    form: Form | None
    start: int
    stop: int


def _runs(
    lines: Lines,
    form: Form | None,
    table: Table,
    known: dict[bytes, Form],
    rejected: Rejected,
    skipped: dict[str, int],
) -> Iterator[_Run]:
    """Give the runs of rows, each with the form that holds for it; the last carries its form to the next block."""
    begun = form is not None or bool(known)
    done, headers = 0, _headers(lines, table, known, rejected)
    while not begun and form is None and done < lines.height and done not in headers:
        form = table.form_of_row(names_of(lines.raw(done))) if table.form_of_row else None
        if form is None:
            rejected.add(lines, done, "no_header", detail=f"a row before {table.expected}")
            done += 1
    repeated = sum(found is not None for found in headers.values()) - (form is None and not begun)
    if repeated > 0:
        skipped["repeated_header"] = skipped.get("repeated_header", 0) + repeated
    for index, found in headers.items():
        yield _Run(form, done, index)
        form, done = found, index + 1
    yield _Run(form, done, lines.height)


def _headers(lines: Lines, table: Table, known: dict[bytes, Form], rejected: Rejected) -> dict[int, Form | None]:
    """Return the header lines with their forms; None for one too many, whose rows cannot be read."""
    headers: dict[int, Form | None] = {}
    limits = current()
    for index in _candidates(lines):
        line = lines.raw(index)
        if (found := known.get(line)) is None:
            names = names_of(line) if line.count(b",") < limits.max_columns else []
            found = table.form_of_header(names)
            if found is not None and len(known) >= limits.max_headers:
                detail = f"more than {limits.max_headers} different headers in one file"
                rejected.add(lines, index, "too_many_headers", detail=detail)
                headers[index] = None
                continue
        if found is not None:
            headers[index] = known[line] = found
    return headers


def _by_form(lines: Lines, runs: list[_Run], table: Table, rejected: Rejected) -> Iterator[tuple[Form, Lines]]:
    """Give the rows of each form at once, however often the headers alternate."""
    groups: dict[int, list[_Run]] = {}
    for run in runs:
        if run.stop > run.start:
            groups.setdefault(id(run.form), []).append(run)
    for own in groups.values():
        if (form := own[0].form) is None:
            for index in (index for run in own for index in range(run.start, run.stop)):
                rejected.add(lines, index, "no_header", detail=f"a row before {table.expected}")
        elif len(own) == 1:
            yield form, lines.part(own[0].start, own[0].stop)
        else:
            kept = np.zeros(lines.height, dtype=bool)
            for run in own:
                kept[run.start : run.stop] = True
            yield form, lines_where(lines, kept)


def _candidates(lines: Lines) -> list[int]:
    """Return the lines that may be headers: those that do not begin like a number.

    Where many do not, those whose next values begin with digits are rows as well; the first line may be anything.
    """
    if not lines.height:
        return []
    first = lines.codes[lines.starts]
    found = np.flatnonzero(~(_is_digit(first) | (first == ord("-"))))
    for near in (_NEAR_START, 8 * _NEAR_START):  # a flow id may be longer than the start of most rows
        if len(found) > _FEW_CANDIDATES:
            found = found[(found == 0) | (_numbers_near_start(lines, found, near) < 2)]
    candidates: list[int] = found.tolist()
    return candidates


_FEW_CANDIDATES: Final = 16
_NEAR_START: Final = 64


def _is_digit(codes: np.ndarray) -> np.ndarray:
    digit: np.ndarray = (codes - np.uint8(ord("0"))) < 10  # what is below "0" wraps around
    return digit


def _numbers_near_start(lines: Lines, index: np.ndarray, near: int) -> np.ndarray:
    """Count, for each of these lines, the values that begin with a digit among the first bytes, but the first one."""
    starts = lines.starts[index]
    padded = np.concatenate((lines.codes, np.zeros(near, np.uint8)))
    near_start = np.lib.stride_tricks.sliding_window_view(padded, near)[starts]
    begins = (near_start[:, :-1] == ord(",")) & _is_digit(near_start[:, 1:])
    begins &= np.arange(1, near) < (lines.ends[index] - starts)[:, None]
    counts: np.ndarray = begins.sum(axis=1)
    return counts


def _read_rows(
    lines: Lines, form: Form, rejected: Rejected, skipped: dict[str, int], nulled: dict[str, int]
) -> pl.DataFrame:
    cells = read_cells(lines, form.layout, rejected, quoted=True)
    frame, lines, failed = cells.frame.with_columns(cells.lines.numbers().alias("raw_line")), cells.lines, cells.failed
    frame = form.prepare(frame)
    for reason, expression in form.passed_over.items():
        over = frame.select(expression.fill_null(value=False)).to_series()
        if over.any():
            skipped[reason] = skipped.get(reason, 0) + int(over.sum())
            lines = lines.edit(dict.fromkeys(over.arg_true().to_list()))
            frame, failed = frame.filter(~over), {rule: series.filter(~over) for rule, series in failed.items()}
    frame = screen(frame, lines, form.rules, rejected, failed=failed, value=form.layout.cell)
    frame, counts = without_impossible(frame, form.measures)
    nulled.update({name: nulled.get(name, 0) + count for name, count in counts.items()})
    if form.impossible is not None:
        for name, count in form.impossible(frame).items():
            nulled[name] = nulled.get(name, 0) + count
    return form.finish(frame)
