"""The reader of what nfdump prints: its text (line, long, extended, biline, bilong, fmt) and its CSV, 1.6 and 1.7.

Source: nfdump(1) of 1.6.23 and 1.7 (https://github.com/phaag/nfdump). What it copes with, and how:

- times without a zone, in that of the machine on which nfdump ran: an option. CSV of 1.6 has whole seconds only;
- a record is one direction of a connection: its source is the originator, and what the responder sent is null. The
  layouts with ``<->`` (``nfdump -b``, ``-B``) have both directions. The CSV writes 0 where there is no other direction:
  two zeros are null;
- bytes are those of whole IP packets, so they are the canonical ``*_ip_bytes``;
- numbers with a unit ("1.2 M") are rounded by nfdump (``-N`` writes them exactly);
- durations as seconds or as ``00:00:08.304``; protocols by name or number; ports of ICMP are its type and code;
- IPv6 addresses shortened by nfdump ("2001:7..0:1"; ``-6`` writes them whole) are kept as they are;
- CSV of 1.7 with any columns in any order; ``csv-fast``: milliseconds since 1970, and the end in place of a duration;
- headers within the file, rows without any header (``-q``), and the summary below, which is passed over and counted;
- a last column ``Label``, as netflowlabeler writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.ingestion import nfdump_text
from cybersec_mlops.ingestion.connection_rules import checked_zone, zone_notes
from cybersec_mlops.ingestion.delimited import Column, Layout, read_cells
from cybersec_mlops.ingestion.in_order import in_order
from cybersec_mlops.ingestion.lines import BOM, Lines, clean, read_lines
from cybersec_mlops.ingestion.nfdump_text import TextForm, read_text
from cybersec_mlops.ingestion.nfdump_values import ENDS, finish, prepare, rules
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import conform, screen

NAME: Final = "nfdump"
_TEXT, _NUMBER = pl.String(), pl.Float64()
_CSV: Final[dict[str, str]] = {
    "ts": "ts",
    "td": "duration_s",
    "pr": "proto",
    "sa": "orig_h",
    "da": "resp_h",
    "sp": "orig_p",
    "dp": "resp_p",
    "flg": "nfdump_flags",
    "stos": "nfdump_tos",
    "ipkt": "orig_pkts",
    "ibyt": "orig_ip_bytes",
    "opkt": "resp_pkts",
    "obyt": "resp_ip_bytes",
    "firstSeen": "ts",
    "duration": "duration_s",
    "proto": "proto",
    "srcAddr": "orig_h",
    "dstAddr": "resp_h",
    "srcPort": "orig_p",
    "dstPort": "resp_p",
    "flags": "nfdump_flags",
    "tos": "nfdump_tos",
    "srcTos": "nfdump_tos",
    "packets": "orig_pkts",
    "inPackets": "orig_pkts",
    "bytes": "orig_ip_bytes",
    "inBytes": "orig_ip_bytes",
    "outPackets": "resp_pkts",
    "outBytes": "resp_ip_bytes",
    "flows": "nfdump_flows",
    "label": "label_text",
}
_CSV_HOSTS: Final = (frozenset({"sa", "da"}), frozenset({"srcAddr", "dstAddr"}))
_CSV_ENDS: Final = ("te", "lastSeen")
"""From which the duration is made where there is none (``-o csv-fast``, ``csv:%ts,%te,...``)."""
_NATIVE: Final[dict[str, pl.DataType]] = {
    "nfdump_flags": _TEXT,
    "nfdump_tos": _NUMBER,
    "nfdump_flows": _NUMBER,
    "nfdump_icmp_type": _NUMBER,
    "nfdump_icmp_code": _NUMBER,
}
_REQUIRED: Final = frozenset({"ts", "duration_s", "proto", "orig_h", "resp_h", "orig_p", "resp_p"})
_TOTALS: Final = b"flows,bytes,packets,avg_"
_SUMMARY: Final = re.compile(
    rb"Summary(:|$)|Time window:|Total (flows|records) processed:|Sys:|Aggregated flows|Top \d+ flows|No matching flows"
    rb"|flows,bytes,packets,avg_"
)
_STATISTICS: Final = "statistics"
_OTHERS: Final = {
    rb"Event time .*Src IP Addr": "layout of firewall or NAT events",
    rb"Flow Record:": "raw layout",
    rb"(2|10)(\|\d+){12,}": "pipe layout",
    rb"Top \d+ .+ ordered by ": _STATISTICS,
    rb"ts,te,td,pr,val,": _STATISTICS,
    rb'[\[{]\s*(?:\{\s*)?"type" ?: ?"(?:FLOW|EVENT)"': "JSON",
}
"""What nfdump writes beside tables of flows, by its beginning."""
_HINT: Final = "write the flows with nfdump -o long, -o extended or -o csv"


@dataclass(frozen=True, slots=True)
class _CsvForm:
    layout: Layout
    variant: str
    ignored: tuple[str, ...]
    from_end: bool
    """The column of the duration holds the connection's end."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.layout.columns if column is not None)


_Form = TextForm | _CsvForm


@dataclass(slots=True)
class _State:
    """What a block leaves to the next one."""

    form: _Form | None = None
    totals: bool = False
    """The last line was the header of the totals: their row follows."""
    rejected: Rejected = field(default_factory=Rejected)
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class Nfdump:
    """What nfdump prints.

    Parameters
    ----------
    timezone : str
        IANA name of the zone of the machine on which nfdump ran; the times do not say it.
    """

    timezone: str = "UTC"
    name = NAME
    has_time = True

    def __post_init__(self) -> None:
        """Check the zone; raises `ConfigError` where there is no such zone."""
        checked_zone(self.timezone)

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """TCP flags of the record, type of service, number of flows in the record, type and code of ICMP."""
        return _NATIVE

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """None is known."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise a header of nfdump, or a row of one of its layouts."""
        lines = [line for line in head.data.removeprefix(BOM).split(b"\n", 8)[:8] if line.strip()]
        lines = [line.strip() for line in lines if not _SUMMARY.match(line)]
        if not lines:
            return None
        start = b"\n".join(lines)
        if other := next((what for beginning, what in _OTHERS.items() if re.match(beginning, start)), None):
            return Refusal(f"nfdump's {other}, not its flows", hint=_HINT, passable=other == _STATISTICS)
        headed = _form_of_header(lines[0])
        form = headed or nfdump_text.form_of_row(lines[0])
        if form is None:
            return None
        if problem := _problem(form):
            return Refusal(problem, hint=_HINT, line=1)
        if head.complete and headed and not any(not _is_aside(line) for line in head.data.split(b"\n")):
            return Refusal("nfdump's header and no rows", hint="give a file with flows", line=1, passable=True)
        ignored = form.ignored if isinstance(form, _CsvForm) else ()
        return Recognition(NAME, form.variant, has_time=True, ignored=ignored, notes=tuple(self._notes(form, head)))

    def _notes(self, form: _Form, head: Head) -> Iterator[str]:
        yield from zone_notes(head.data, self.timezone)
        if "resp_pkts" not in form.columns:
            yield "a record is one direction of a connection; what the responder sent is not known"
        if isinstance(form, TextForm) and re.search(rb"\d [KMGT] ", head.data):
            yield "large numbers are rounded (nfdump -N writes them exactly)"
        if isinstance(form, TextForm) and re.search(rb"[0-9a-f]\.\.[0-9a-f]", head.data):
            yield "IPv6 addresses are shortened (nfdump -6 writes them whole)"
        if "label_text" in form.columns:
            yield "labelled"

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read what nfdump printed; see `Reader.read`."""
        del source  # the format has no error of its own
        for batch in in_order(self._batch, _blocks(stream, batch_bytes)):
            if batch.read:
                yield batch

    def _batch(self, block: _Block) -> Batch:
        schema = batch_schema(self)
        frames = [conform(self._rows(rows, form, block.rejected), schema) for form, rows in block.runs]
        kept = pl.concat(frames) if frames else pl.DataFrame(schema=schema)
        return Batch(kept, block.rejected.frame(), block.skipped)

    def _rows(self, lines: Lines, form: _Form, rejected: Rejected) -> pl.DataFrame:
        if isinstance(form, TextForm):
            value: Callable[[bytes, str], str | None] = partial(_text_cell, form=form)
            lines, frame = read_text(lines, form, rejected)
        else:
            cells = read_cells(lines, form.layout, rejected)
            lines, frame, value = cells.lines, cells.frame, form.layout.cell
        from_end = isinstance(form, _CsvForm) and form.from_end
        frame = prepare(frame.with_columns(lines.numbers().alias("raw_line")), self.timezone, from_end=from_end)
        frame = screen(frame, lines, tuple(rules(frame)), rejected, failed={}, value=value)
        return finish(frame, zero_is_unset=isinstance(form, _CsvForm))


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows with the form that holds for them."""

    runs: list[tuple[_Form, Lines]]
    rejected: Rejected
    skipped: dict[str, int]


def _blocks(stream: BinaryIO, batch_bytes: int) -> Iterator[_Block]:
    state = _State()
    for block in read_lines(stream, batch_bytes=batch_bytes):
        state = replace(state, rejected=Rejected(), skipped={})
        lines = clean(block, state.rejected, state.skipped)
        yield _Block(list(_parts(lines, state)), state.rejected, state.skipped)


def _form_of_header(line: bytes) -> _Form | None:
    return nfdump_text.form_of_header(line) or _csv_form(line)


def _csv_form(line: bytes) -> _CsvForm | None:
    """Return what a header says: 1.6 has one list of columns, of 1.7 they may be any in any order."""
    if not (line.startswith(b"ts,") or b"firstSeen" in line):
        return None
    names = [name.strip() for name in line.decode(errors="replace").split(",")]
    if not any(hosts <= set(names) for hosts in _CSV_HOSTS):
        return None
    targets = [_CSV.get(name) for name in names]
    if from_end := "duration_s" not in targets:
        targets = ["duration_s" if name in _CSV_ENDS else target for name, target in zip(names, targets, strict=True)]
    first = {target: position for position, target in reversed(list(enumerate(targets)))}
    columns = tuple(
        Column(target, _TEXT) if target is not None and first[target] == position else None
        for position, target in enumerate(targets)
    )
    ignored = tuple(name for name, column in zip(names, columns, strict=True) if column is None)
    return _CsvForm(Layout(",", columns), "csv-1.6" if names[0] == "ts" else "csv-1.7", ignored, from_end)


def _problem(form: _Form) -> str | None:
    """Say why the rows below a header cannot be used."""
    if isinstance(form, TextForm) and form.unknown:
        return f"nfdump's text with columns that are not known: {printable(' '.join(form.unknown), 80)}"
    have = {*form.columns, *(f"{end}_{part}" for end in ENDS if end in form.columns for part in "hp")}
    if lacking := sorted(_REQUIRED - have):
        return f"nfdump's output without what makes a connection: {', '.join(lacking)}"
    return None


def _is_aside(line: bytes) -> bool:
    """Say whether a line is no row: blank, a header, or part of the summary."""
    return not line.strip() or _SUMMARY.match(line) is not None or _form_of_header(line.strip()) is not None


def _parts(lines: Lines, state: _State) -> Iterator[tuple[_Form, Lines]]:
    """Give the runs of rows of one form each; headers and the summary are taken out and counted."""
    done = 0
    for index in _candidates(lines):
        yield from _run(lines.part(done, index), state)
        line, done = lines.raw(index).strip(), index + 1
        form = _form_of_header(line)
        if form is not None and _problem(form) is None:
            if state.form is not None:
                state.skip("repeated_header")
            state.form, state.totals = form, False
        else:
            state.skip("summary")
            state.totals = line.startswith(_TOTALS)
    yield from _run(lines.part(done, lines.height), state)


def _run(rows: Lines, state: _State) -> Iterator[tuple[_Form, Lines]]:
    if state.totals and rows.height:
        state.totals = False
        if rows.raw(0).count(b",") == 5:
            state.skip("summary")
            rows = rows.part(1, rows.height)
    while rows.height and state.form is None:
        state.form = nfdump_text.form_of_row(rows.raw(0))
        if state.form is None:
            state.rejected.add(rows, 0, "no_header", detail="a row before nfdump's header")
            rows = rows.part(1, rows.height)
    if rows.height and state.form is not None:
        yield state.form, rows


def _candidates(lines: Lines) -> list[int]:
    """Return the lines that are headers or belong to the summary."""
    if not lines.height:
        return []
    first = lines.codes[lines.starts]
    found = pl.Series((first < ord("0")) | (first > ord("9"))).arg_true().to_list()
    return [index for index in found if _is_aside(lines.raw(index))]


def _text_cell(line: bytes, field: str, form: TextForm) -> str | None:
    end = field.split("_")[0]
    return nfdump_text.cell(line, form, end if end in form.columns and field.endswith(("_h", "_p")) else field)
