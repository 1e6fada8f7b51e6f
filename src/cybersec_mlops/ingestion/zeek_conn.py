"""The reader of Zeek's ``conn.log``: TSV or JSON, labelled or not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, BinaryIO, ClassVar, Final

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import zeek_columns, zeek_json, zeek_tsv
from cybersec_mlops.ingestion.connection_rules import checked_zone, has_no_zone, zone_note
from cybersec_mlops.ingestion.in_order import in_order
from cybersec_mlops.ingestion.json_lines import is_array, objects_of, record_lines, variant_of
from cybersec_mlops.ingestion.lines import BOM, Lines, clean
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import conform
from cybersec_mlops.ingestion.zeek_tsv import Header

NAME: Final = "zeek_conn"
UNKNOWN: Final = "?"
_CONN_HINT: Final = "give the conn.log of the same capture: the pipeline works on connections"
_HEADER: Final = re.compile(rb"(?:#[^\n]*\n\s*)*#(?:separator|fields|path)")
_ROW: Final = re.compile(rb"\d{9,10}\.\d{1,6}\tC[0-9A-Za-z]{5,20}\t[0-9A-Fa-f.:]{2,45}\t\d{1,5}\t[0-9A-Fa-f.:]{2,45}\t")
"""Time, uid and ends, as every log of Zeek has them in front."""
_NO_HEADER_HINT: Final = (
    "put them in front, since the columns differ between sensors: (grep '^#' conn.log; cat FILE) > with-header.log; "
    "zeek-cut keeps them with -C"
)
_NESTED_HINT: Final = """write them flat: jq -c '. + (.id | with_entries(.key |= "id." + .)) | del(.id)' FILE"""
_NO_ROWS_HINT: Final = "the sensor wrote the header and no connection; give a log of a time with traffic"


@dataclass(frozen=True, slots=True)
class ZeekConn:
    """Zeek's connection log.

    Parameters
    ----------
    timezone : str
        IANA name of the zone of times that do not say theirs.
    """

    timezone: str = "UTC"
    name = NAME
    has_time = True
    native_columns: ClassVar[Mapping[str, pl.DataType]] = {}
    shortcut_columns: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        """Check the zone; raises `ConfigError` where there is no such zone."""
        checked_zone(self.timezone)

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise a header of comment lines, or records in JSON."""
        text = head.data.removeprefix(BOM).lstrip(b" \t\r\n")
        if _HEADER.match(text):
            try:
                return _recognise_tsv(head, self.timezone)
            except DataError as error:
                return Refusal(error.message, hint=error.hint)
        if _ROW.match(text):
            return Refusal("a Zeek log without the comment lines of its header", hint=_NO_HEADER_HINT, line=1)
        return _recognise_json(head, self.timezone) if text.startswith(b"{") or is_array(head.data) else None

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a log; see `Reader.read`."""
        for batch in in_order(self._read_block, _blocks(stream, source, batch_bytes, self.timezone)):
            if batch.read:
                yield batch

    def _read_block(self, block: _Block) -> Batch:
        frames = (read_rows(block.rejected, block.skipped) for read_rows in block.runs)
        schema = batch_schema(self)
        conforming = [conform(frame, schema) for frame in frames if frame is not None]
        rows = pl.concat(conforming) if conforming else pl.DataFrame(schema=schema)
        return Batch(rows, block.rejected.frame(), block.skipped)


@dataclass(frozen=True, slots=True)
class _Block:
    """Runs of rows that have one header, each as what reads it."""

    runs: list[Callable[[Rejected, dict[str, int]], pl.DataFrame | None]]
    rejected: Rejected
    skipped: dict[str, int]


def _blocks(stream: BinaryIO, source: str, batch_bytes: int, zone: str) -> Iterator[_Block]:
    header, form, style = Header(), "", zeek_json.Style()
    for block in record_lines(stream, source=source, batch_bytes=batch_bytes):
        if not form:
            form, style = _form_of(block)
        rejected, skipped = Rejected(), dict[str, int]()
        lines = block if form == "json" else clean(block, rejected, skipped)
        if form == "tsv":
            try:
                runs = list(zeek_tsv.split_comments(lines, header))
            except DataError as error:
                raise DataError(error.message, hint=error.hint, source=source) from error
            header = runs[-1][0]
            yield _Block([partial(zeek_tsv.read_rows, rows, under, zone) for under, rows in runs], rejected, skipped)
        else:
            yield _Block([partial(zeek_json.read_rows, lines, style, zone)], rejected, skipped)


def _form_of(block: Lines) -> tuple[str, zeek_json.Style]:
    """Return whether a file that begins so is "tsv" or "json", and the style of the latter; "" where all is blank."""
    lines = clean(block, Rejected(), {})
    if not lines.height:
        return "", zeek_json.Style()
    first = lines.raw(0)
    return "tsv" if zeek_tsv.is_comment(first) else "json", zeek_json.style_of(first)


def _recognise_tsv(head: Head, zone: str) -> Recognition | Refusal | None:
    header, row = Header(), b""
    lines = head.data.splitlines()
    for line in lines if head.complete else lines[:-1]:
        if zeek_tsv.is_comment(line):
            header = zeek_tsv.read_comment(line, header)
        elif line.strip() and header.fields:
            row = line
            if header.is_connection:
                break
    if not header.fields:
        return Refusal("a Zeek log without a #fields line", hint="the header is incomplete; export the log again")
    if not header.is_connection:
        return _other_log(header)
    if not row and head.complete:
        return Refusal("a Zeek conn log with a header and no rows", hint=_NO_ROWS_HINT, passable=True)
    notes = (*_label_notes(header.names), *_zone_notes(header.layout().cell(row, "ts"), zone))
    return Recognition(NAME, "tsv", has_time=True, ignored=header.ignored, notes=notes)


def _other_log(header: Header) -> Refusal:
    shown = ", ".join(printable(name, 30) for name in header.names[:8])
    if header.path and header.path != "conn":
        message = f"a Zeek log of another type: {printable(header.path, 40)}.log ({shown}, ...), expected conn.log"
        return Refusal(message, hint=_CONN_HINT, passable=True)
    lacking = ", ".join(zeek_columns.missing_columns(header.names))
    return Refusal(
        f"a Zeek log whose columns are not those of conn.log: {lacking} missing among {shown}, ...",
        hint="check the #fields line; the columns may be in any order, and more may follow",
    )


def _label_notes(names: tuple[str, ...]) -> tuple[str, ...]:
    return ("labelled",) if "label" in names else ()


def _zone_notes(time: object, zone: str) -> tuple[str, ...]:
    return (zone_note(zone),) if has_no_zone(str(time)) else ()


def _recognise_json(head: Head, zone: str) -> Recognition | Refusal | None:
    kinds, firsts = _kinds_of(objects_of(head))
    if kinds["conn"]:
        names = {name for kind, record in firsts if kind == "conn" for name in record}
        ignored = sorted(name for name in names - set(zeek_json.STREAM_KEYS) if not zeek_columns.column_of(name))
        first = next(record.get("ts") for kind, record in firsts if kind == "conn")
        others = tuple(f"also holds {kind} records, which are passed over" for kind in sorted(kinds) if kind != "conn")
        notes = (*_label_notes(tuple(names)), *_zone_notes(first, zone), *others)
        return Recognition(NAME, variant_of(head.data), has_time=True, ignored=tuple(ignored), notes=notes)
    if any(isinstance(record.get("id"), dict) and "orig_h" in record["id"] for record in objects_of(head)):
        return Refusal("Zeek JSON whose hosts and ports are inside of `id`", hint=_NESTED_HINT, passable=True)
    zeek = [kind for kind, _ in kinds.most_common() if kind not in ("conn", "")]
    if not zeek:
        return None
    logs = ", ".join("one that is not known" if kind == UNKNOWN else f"{printable(kind, 40)}.log" for kind in zeek[:5])
    more = "" if head.complete else f" in its first {len(head.data) >> 20} MiB"
    hint = _CONN_HINT if head.complete else f"{_CONN_HINT}; if connections follow later, name the format: {NAME}"
    return Refusal(f"Zeek JSON of another type{more}: {logs}, expected conn.log", hint=hint, passable=True)


def _kinds_of(records: Iterable[dict[str, Any]]) -> tuple[Counter[str], list[tuple[str, dict[str, Any]]]]:
    """Count records by kind, and give the first of each that is like no one before: few of a log are."""
    first, like = dict[Hashable, dict[str, Any]](), Counter[Hashable]()
    for record in records:
        told = (tuple(record), *(repr(record[key]) for key in zeek_json.STREAM_KEYS if key in record))
        first.setdefault(told, record)
        like[told] += 1
    firsts = [(record_kind(record), record) for record in first.values()]
    kinds = Counter[str]()
    for (kind, _), count in zip(firsts, like.values(), strict=True):
        kinds[kind] += count
    return kinds, firsts


_TELLTALES: Final = (
    ("dns", {"query", "qtype_name", "rcode_name", "trans_id"}),
    ("http", {"method", "uri", "user_agent", "status_code", "trans_depth", "request_body_len"}),
    ("ssl", {"cipher", "server_name", "ssl_history", "established"}),
    ("ssh", {"auth_attempts", "kex_alg", "host_key", "client", "direction"}),
    ("files", {"fuid", "mime_type", "seen_bytes"}),
    ("x509", {"certificate.version", "certificate_version", "certificate.serial", "certificate_serial"}),
    ("notice", {"note", "suppress_for"}),
    ("weird", {"peer", "name"}),
)


@lru_cache(maxsize=64)  # the records of a log have a handful of sets of keys
def _has_keys_of_connection(keys: frozenset[str]) -> bool:
    return zeek_columns.is_connection(keys | {"conn_state"} if "missed_bytes" in keys else keys)


def record_kind(record: Mapping[str, Any]) -> str:
    """Return which of Zeek's logs a JSON record belongs to, "" where it is none that is known.

    A log of connections may have any name, for instance that of a filter, but those of `OTHER_LOGS`.

    >>> record_kind({"_path": "ssl"}), record_kind({"uid": "C1", "ts": 1, "query": "a", "qtype_name": "A"})
    ('ssl', 'dns')
    """
    names = (record.get(key) for key in zeek_json.STREAM_KEYS)
    said = next((name for name in names if name and isinstance(name, str)), "")
    if said in zeek_columns.OTHER_LOGS:
        return said
    if said == "conn" or _has_keys_of_connection(frozenset(record)):
        return "conn"
    if said:
        return said
    if "ts" not in record:
        return ""
    for kind, keys in _TELLTALES:
        if len(keys & record.keys()) >= 2:
            return kind
    return UNKNOWN if "uid" in record and ("id.orig_h" in record or "id_orig_h" in record) else ""
