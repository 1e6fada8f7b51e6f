r"""Zeek's dns, http and ssl logs beside a conn log: what they say of each connection, as numbers and small categories.

How such a log is recognised and read; what of it a connection gets is in `zeek_aggregates`. Rows are found again by
``uid`` and the connection's four ends. Labels of these logs are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import zeek_tsv
from cybersec_mlops.ingestion.delimited import Column, Layout, read_cells
from cybersec_mlops.ingestion.json_lines import (
    broken_lines,
    is_array,
    is_readable,
    json_fault,
    lines_where,
    objects_of,
    objects_only,
    parse_objects,
    record_lines,
    variant_of,
)
from cybersec_mlops.ingestion.lines import BOM, Lines, clean
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Head, Recognition
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import Rule, outside, screen
from cybersec_mlops.ingestion.zeek_aggregates import KEYS, KINDS, partial_of
from cybersec_mlops.ingestion.zeek_conn import record_kind
from cybersec_mlops.ingestion.zeek_json import STREAM_KEYS

_TEXT: Final = pl.String()
_ENDS: Final = {
    "uid": "uid",
    "id.orig_h": "orig_h",
    "id.orig_p": "orig_p",
    "id.resp_h": "resp_h",
    "id.resp_p": "resp_p",
    "id_orig_h": "orig_h",
    "id_orig_p": "orig_p",
    "id_resp_h": "resp_h",
    "id_resp_p": "resp_p",
}
_NUMBERS: Final = ("rcode", "request_body_len", "response_body_len", "status_code")
_TRUTHS: Final = ("established", "resumed")


FORMATS: Final = {f"zeek_{kind}": kind for kind in KINDS}
"""Format of an original that is such a log, to its kind."""


@dataclass(frozen=True, slots=True)
class JoinedBatch:
    """What became of a block; ``read == sum(used.values()) + rejected.height + sum(skipped.values())``."""

    partial: Mapping[str, pl.DataFrame]
    """Kind to partial aggregates, one row a connection."""
    used: Mapping[str, int]
    """Rows by kind that are in `partial`."""
    rejected: pl.DataFrame
    """`REJECTED_ROWS`."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, int] = field(default_factory=dict)
    """Rows by kind: used, or refused for what is in them."""


_Rows = tuple[str, pl.DataFrame, int]
"""Kind, the rows that can be used, and how many there were."""


def recognise_joined(head: Head) -> Recognition | None:
    """Say whether a file is one of the logs that are joined to connections; its format is ``zeek_dns``, ..."""
    text = head.data.removeprefix(BOM).lstrip(b" \t\r\n")
    if text.startswith((b"#separator", b"#fields", b"#path")):
        kind, variant = _kind_of_tsv(head), "tsv"
    elif text.startswith(b"{") or is_array(head.data):
        kinds = Counter(record_kind(record) for record in objects_of(head))
        found = [one for one, _ in kinds.most_common() if one in KINDS]
        kind, variant = found[0] if found and not kinds["conn"] else None, variant_of(head.data)
    else:
        return None
    if kind is None:
        return None
    note = "joined by uid to the connections of the conn.log that is given with it"
    return Recognition(f"zeek_{kind}", variant, has_time=False, notes=(note,))


def _kind_of_tsv(head: Head) -> str | None:
    header = zeek_tsv.Header()
    lines = head.data.splitlines()
    try:
        for line in lines if head.complete else lines[:-1]:
            if zeek_tsv.is_comment(line):
                header = zeek_tsv.read_comment(line, header)
            elif line.strip():
                break
    except DataError:
        return None
    return _kind_of(header, record_kind(dict.fromkeys(header.names)))


def _kind_of(header: zeek_tsv.Header, main: str | None = None) -> str | None:
    """Return the kind of the rows below a header, None where they are of another log or cannot be joined."""
    names = {_ENDS.get(name, name) for name in header.names}
    kind = header.path or main
    return kind if kind in KINDS and names.issuperset(KEYS) else None


def read_joined(
    stream: BinaryIO, *, main: str | None, source: str, batch_bytes: int = BATCH_BYTES
) -> Iterator[JoinedBatch]:
    """Read the rows of the logs that are joined.

    Parameters
    ----------
    stream : BinaryIO
        The decompressed file at its beginning.
    main : str or None
        The kind of log that it is: every row is accounted for. None for a conn log with rows of others between: what is
        not of `KINDS` is left to the reader of connections.
    source : str
        The file's name, for errors.
    batch_bytes : int
        How many bytes become one batch.

    Raises
    ------
    DataError
        A header that cannot be.
    """
    header, form = zeek_tsv.Header(), ""
    for block in record_lines(stream, source=source, batch_bytes=batch_bytes):
        rejected, skipped = Rejected(), dict[str, int]()
        lines = clean(block, rejected, skipped)
        if not form and lines.height:
            form = "tsv" if zeek_tsv.is_comment(lines.raw(0)) else "json"
        rows: list[_Rows] = []
        if form == "tsv":
            try:
                for header, some in zeek_tsv.split_comments(lines, header):  # noqa: B020 - the header goes on
                    rows += _tsv_rows(some, header, main, rejected, skipped)
            except DataError as error:
                raise DataError(error.message, hint=error.hint, source=source) from error
        elif lines.height:
            rows += _json_rows(lines, main, rejected, skipped)
        yield _batch(rows, rejected, skipped, everything=main is not None)


def _batch(rows: list[_Rows], rejected: Rejected, skipped: dict[str, int], *, everything: bool) -> JoinedBatch:
    used, given = Counter[str](), Counter[str]()
    for kind, _, height in rows:
        given[kind] += height
    parts: dict[str, pl.DataFrame] = {}
    for kind in KINDS:
        frames = [frame for one, frame, _ in rows if one == kind and frame.height]
        if frames:
            joined = pl.concat(frames)
            used[kind] = joined.height
            parts[kind] = partial_of(kind, joined)
    frame = rejected.frame()
    if not everything:
        frame = frame.filter(pl.col("reason").is_in(_OWN_REASONS))
    return JoinedBatch(parts, used, frame, skipped if everything else {}, given)


def _tsv_rows(
    lines: Lines, header: zeek_tsv.Header, main: str | None, rejected: Rejected, skipped: dict[str, int]
) -> Iterator[_Rows]:
    if not lines.height:
        return
    kind = _kind_of(header, main)
    if kind is None:
        reason = f"other_stream:{printable(header.path or 'unknown', 40)}"
        skipped[reason] = skipped.get(reason, 0) + lines.height
        return
    wanted = {**_ENDS, **{name: name for name in KINDS[kind].fields}}
    seen: set[str] = set()
    columns: list[Column | None] = []
    for name in header.fields:
        target = wanted.get(name)
        columns.append(Column(target, _TEXT) if target is not None and target not in seen else None)
        seen |= {target} if target is not None else set()
    layout = Layout(header.separator, tuple(columns), (header.unset, header.empty))
    cells = read_cells(lines, layout, rejected)
    yield kind, _typed(kind, cells.frame, cells.lines, rejected, layout), lines.height


def _json_rows(lines: Lines, main: str | None, rejected: Rejected, skipped: dict[str, int]) -> Iterator[_Rows]:
    lines = objects_only(lines, rejected, skipped)
    if not lines.height:
        return
    try:
        stream = _parse(lines, STREAM_KEYS)
    except pl.exceptions.PolarsError:
        broken = broken_lines(lines, partial(is_readable, parse=partial(_parse, keys=STREAM_KEYS)), json_fault)
        for index, fault in broken.items():
            rejected.add(lines, index, "not_json", detail=fault or "no sound JSON: nested too deeply")
        lines = lines.edit(dict.fromkeys(broken))
        if not lines.height:
            return
        stream = _parse(lines, STREAM_KEYS)
    kinds = stream.select(pl.coalesce(STREAM_KEYS)).to_series().fill_null(main or "")
    for name, count in kinds.value_counts().iter_rows():
        if name not in KINDS:
            reason = f"other_stream:{printable(name, 40)}"
            skipped[reason] = skipped.get(reason, 0) + count
            continue
        of_kind = lines_where(lines, (kinds == name).to_numpy())
        frame = _parse(of_kind, (*_ENDS, *KINDS[name].fields))
        both = (
            pl.coalesce(zeek, zeek.replace(".", "_")).alias(end) for zeek, end in _ENDS.items() if "_" not in zeek[:3]
        )
        frame = frame.select(*both, *KINDS[name].fields)
        yield name, _typed(name, frame, of_kind, rejected, Layout(",", ())), of_kind.height


def _parse(lines: Lines, keys: Sequence[str]) -> pl.DataFrame:
    return parse_objects(lines, dict.fromkeys(keys, _TEXT), ignore_errors=True)


_OWN_REASONS: Final = ("ragged_row", "not_joinable", "bad_port", "bad_number", "bad_boolean")


def _typed(kind: str, frame: pl.DataFrame, lines: Lines, rejected: Rejected, layout: Layout) -> pl.DataFrame:
    """Return `KEYS` and the kind's fields with their types; rows that cannot be joined or read are set aside."""
    names = (*KEYS, *KINDS[kind].fields)
    frame = frame.select(pl.col(name) if name in frame.columns else pl.lit(None, _TEXT).alias(name) for name in names)
    frame = frame.with_columns(pl.when(pl.col(names) != "").then(pl.col(names)))
    ports, numbers = ("orig_p", "resp_p"), [name for name in _NUMBERS if name in names]
    truths = {"T": True, "F": False, "true": True, "false": False}
    made = frame.with_columns(
        *(pl.col(name).cast(pl.Int32, strict=False) for name in ports),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in numbers),
        *(
            pl.col(name).replace_strict(truths, default=None, return_dtype=pl.Boolean)
            for name in _TRUTHS
            if name in names
        ),
    )
    failed = {
        Rule(name, reason, expected, pl.lit(value=False)): made[name].is_null() & frame[name].is_not_null()
        for some, reason, expected in (
            (ports, "bad_port", "a port 0-65535"),
            (numbers, "bad_number", "a number"),
            ([name for name in _TRUTHS if name in names], "bad_boolean", "T or F"),
        )
        for name in some
    }
    failed = {rule: series for rule, series in failed.items() if series.any()}
    rules = [Rule(name, "not_joinable", "what names the connection", pl.col(name).is_null()) for name in KEYS]
    rules += [outside(name, 0, 2**53, reason="bad_number", expected="a number of 0 or more") for name in numbers]
    return screen(made, lines, rules, rejected, failed=failed, value=layout.cell)
