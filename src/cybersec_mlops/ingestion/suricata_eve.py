"""The reader of Suricata's EVE log: its flow records, as JSON lines or as one JSON array.

Source: https://docs.suricata.io/en/latest/output/eve/eve-json-format.html and Suricata's ``etc/schema.json``. What it
copes with, and how:

- records of other types (alert, dns, http, tls, ..., and netflow, which has one record for each direction) are passed
  over and counted by type: everything that makes a connection is in the flow record;
- times with ``+0200``, ``+02:00`` or ``Z``; times without a zone are read in the zone of the option;
- a flow record's ``timestamp`` is the time of logging; the connection's is ``flow.start``;
- bytes are counted with all headers, so they are the canonical ``*_ip_bytes``; Suricata counts no payload;
- ``failed`` and ``unknown`` are no service; a flow's state is not Zeek's, so it stays a native column.

In an array, ``raw_line`` is the place of the record in the array.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Final

import polars as pl
from polars.exceptions import PolarsError

from cybersec_mlops.ingestion.connection_rules import (
    PLAIN_ISO,
    checked_zone,
    has_no_zone,
    in_seconds,
    not_a_duration,
    not_a_port,
    not_a_time,
    not_an_address,
    parse_times,
    zone_note,
)
from cybersec_mlops.ingestion.json_lines import (
    broken_lines,
    is_readable,
    json_fault,
    lines_where,
    objects_of,
    objects_only,
    parse_objects,
    record_lines,
    variant_of,
)
from cybersec_mlops.ingestion.labels import with_labels
from cybersec_mlops.ingestion.lines import Lines, clean
from cybersec_mlops.ingestion.protocols import keyword
from cybersec_mlops.ingestion.reader import BATCH_BYTES, HEAD_BYTES, Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.screening import VALUE_LIMIT, Rule, below_zero, conform, missing, screen
from cybersec_mlops.ingestion.zeek_columns import label_name

NAME: Final = "suricata_eve"
_FLOW: Final = "flow"
_FLOW_HINT: Final = "enable `flow` among the types of eve-log in suricata.yaml; connections come from flow records"
_NETFLOW_HINT: Final = (
    f"{_FLOW_HINT}; for a sensor that writes netflow only (AWS Network Firewall) docs/formats.md has a line of jq"
)
_TIME: Final = "a time like 2021-06-06T15:59:46.457984+0200"
_NUMBER, _TEXT, _TRUTH = pl.Int64(), pl.String(), pl.Boolean()

_TOP: Final[dict[str, tuple[str, pl.DataType]]] = {
    "flow_id": ("uid", _TEXT),
    "src_ip": ("orig_h", _TEXT),
    "src_port": ("orig_p", _NUMBER),
    "dest_ip": ("resp_h", _TEXT),
    "dest_port": ("resp_p", _NUMBER),
    "proto": ("proto", _TEXT),
    "app_proto": ("service", _TEXT),
    "label": ("label_word", _TEXT),
    "detailedlabel": ("label_detail", _TEXT),
}
_NESTED: Final[dict[str, dict[str, tuple[str, pl.DataType]]]] = {
    "flow": {
        "start": ("ts", _TEXT),
        "end": ("end", _TEXT),
        "pkts_toserver": ("orig_pkts", _NUMBER),
        "pkts_toclient": ("resp_pkts", _NUMBER),
        "bytes_toserver": ("orig_ip_bytes", _NUMBER),
        "bytes_toclient": ("resp_ip_bytes", _NUMBER),
        "state": ("eve_state", _TEXT),
        "reason": ("eve_reason", _TEXT),
        "alerted": ("eve_alerted", _TRUTH),
    },
    "tcp": {
        "state": ("eve_tcp_state", _TEXT),
        "tcp_flags_ts": ("eve_tcp_flags_orig", _TEXT),
        "tcp_flags_tc": ("eve_tcp_flags_resp", _TEXT),
    },
}
_SCHEMA: Final[dict[str, pl.DataType]] = {
    "event_type": _TEXT,
    **{key: dtype for key, (_, dtype) in _TOP.items()},
    **{key: pl.Struct({name: dtype for name, (_, dtype) in inner.items()}) for key, inner in _NESTED.items()},
}
_TEXTS: Final[dict[str, pl.DataType]] = {
    "event_type": _TEXT,
    **dict.fromkeys(_TOP, _TEXT),
    **{key: pl.Struct(dict.fromkeys(inner, _TEXT)) for key, inner in _NESTED.items()},
}
"""The same with all values as texts: Wazuh, for one, writes numbers so."""
_WHOLE: Final = "-?[0-9]{1,19}"
_TRUTHS: Final = {"true": True, "false": False}
_COUNTS: Final = ("orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes")
_EXPECTED: Final[dict[pl.DataType, tuple[str, str, type]]] = {
    _NUMBER: ("bad_number", "a whole number", int),
    _TRUTH: ("bad_boolean", "true or false", bool),
}


@dataclass(frozen=True, slots=True)
class SuricataEVE:
    """Suricata's EVE log.

    Parameters
    ----------
    timezone : str
        IANA name of the zone of times that do not say theirs.
    """

    timezone: str = "UTC"
    name = NAME
    has_time = True

    def __post_init__(self) -> None:
        """Check the zone; raises `ConfigError` where there is no such zone."""
        checked_zone(self.timezone)

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """What Suricata says of a flow beside the canonical columns."""
        names = [column for inner in _NESTED.values() for column, _ in inner.values() if column.startswith("eve_")]
        return {name: _TRUTH if name == "eve_alerted" else _TEXT for name in names}

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """The sensor's own verdict."""
        return {"eve_alerted": "whether a rule of the sensor matched: the label itself where labels come from rules"}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise records with a type and a time."""
        records = [record for record in objects_of(head) if "event_type" in record and "timestamp" in record]
        if not records:
            return None
        kinds = Counter(printable(str(record["event_type"]), 40) for record in records)
        others = ", ".join(sorted(kinds - Counter({_FLOW: kinds[_FLOW]})))
        if head.complete and not kinds[_FLOW]:
            return Refusal(
                f"a Suricata EVE log of another type: it has no flow records, only {others}",
                hint=_NETFLOW_HINT if kinds["netflow"] else _FLOW_HINT,
                passable=True,
            )
        flows = [record for record in records if record["event_type"] == _FLOW]
        return Recognition(NAME, variant_of(head.data), has_time=True, notes=tuple(self._notes(flows, others)))

    def _notes(self, flows: list[dict[str, Any]], others: str) -> Iterator[str]:
        starts = [str(record["flow"].get("start")) for record in flows if isinstance(record.get("flow"), dict)]
        if any(has_no_zone(start) for start in starts):
            yield zone_note(self.timezone)
        if any("label" in record for record in flows):
            yield "labelled"
        if not flows:
            yield f"its first {HEAD_BYTES >> 20} MiB hold no flow records"
        if others:
            yield f"also holds {others} records, which are passed over"

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a log; see `Reader.read`."""
        for block in record_lines(stream, source=source, batch_bytes=batch_bytes):
            rejected, skipped = Rejected(), dict[str, int]()
            lines = objects_only(clean(block, rejected, skipped), rejected, skipped)
            rows = conform(self._rows(lines, rejected, skipped), batch_schema(self))
            batch = Batch(rows, rejected.frame(), skipped)
            if batch.read:
                yield batch

    def _rows(self, lines: Lines, rejected: Rejected, skipped: dict[str, int]) -> pl.DataFrame:
        try:
            frame = parse_objects(lines, _SCHEMA)
        except PolarsError:
            lines, frame = _parse_texts(_set_broken_aside(lines, rejected, skipped), rejected, skipped)
        lines, frame = _flows_only(lines, frame, rejected, skipped)
        frame = _flat(frame).with_columns(lines.numbers().alias("raw_line"))
        start, end = (parse_times(frame[name], PLAIN_ISO, self.timezone) for name in ("ts", "end"))
        frame = frame.with_columns(start.alias("start_parsed"), end.alias("end_parsed"))
        frame = frame.with_columns(in_seconds(pl.lit(end - start).dt.total_microseconds(), 1e6).alias("duration_s"))
        return _finish(screen(frame, lines, _RULES, rejected, failed={}, value=_value_of))


def _set_broken_aside(lines: Lines, rejected: Rejected, skipped: dict[str, int]) -> Lines:
    """Take away what cannot be parsed: rejected with the reason, or counted where it is no flow record."""
    broken = broken_lines(lines, partial(is_readable, parse=partial(parse_objects, schema=_TEXTS)), _fault_of)
    for index, fault in broken.items():
        _tell(fault, lines, index, rejected, skipped)
    return lines.edit(dict.fromkeys(broken))


def _tell(fault: _Fault | None, lines: Lines, index: int, rejected: Rejected, skipped: dict[str, int]) -> None:
    if fault is not None and fault.other_event:
        _skip(skipped, fault.other_event, 1)
    else:
        reason, field, detail = fault.told if fault else ("not_json", None, "no sound JSON: nested too deeply")
        rejected.add(lines, index, reason, field=field, detail=detail)


def _parse_texts(lines: Lines, rejected: Rejected, skipped: dict[str, int]) -> tuple[Lines, pl.DataFrame]:
    """Parse lines of which some have values of another type: numbers as texts are read, the others set aside."""
    text = parse_objects(lines, _TEXTS)
    wrong = pl.lit(value=False)
    columns = [pl.col("event_type")]
    for key, (_, dtype) in _TOP.items():
        columns.append(_typed(pl.col(key), dtype).alias(key))
        wrong |= columns[-1].is_null() & pl.col(key).is_not_null()
    for key, inner in _NESTED.items():
        values = {name: _typed(pl.col(key).struct.field(name), dtype) for name, (_, dtype) in inner.items()}
        columns.append(pl.struct(value.alias(name) for name, value in values.items()).alias(key))
        for name, value in values.items():
            wrong |= value.is_null() & pl.col(key).struct.field(name).is_not_null()
    bad = text.select(wrong).to_series()
    for index in bad.arg_true().to_list():
        _tell(_fault_of(lines.raw(index)), lines, index, rejected, skipped)
    return lines_where(lines, (~bad).to_numpy()), text.select(columns).filter(~bad)


def _typed(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == _TRUTH:
        return text.replace_strict(_TRUTHS, default=None, return_dtype=_TRUTH)
    whole = pl.when(text.str.contains(f"^(?:{_WHOLE})$")).then(text) if dtype == _NUMBER else text
    return whole.cast(dtype, strict=False)


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a line cannot be parsed."""

    told: tuple[str, str | None, str]
    """Reason, field, detail."""
    other_event: str = ""
    """Its type where it is a record of another type, which is passed over."""


def _fault_of(line: bytes) -> _Fault | None:
    if (detail := json_fault(line)) is not None:
        return _Fault(("not_json", None, detail))
    try:
        record = json.loads(line)
    except RecursionError:
        return None
    if (told := _wrong_value(record)) is None:
        return None
    kind = record.get("event_type")
    return _Fault(told, kind if isinstance(kind, str) and kind != _FLOW else "")


def _wrong_value(record: dict[str, Any]) -> tuple[str, str | None, str] | None:
    """Say which value of a record has another type than the format's."""
    for key, inner in _NESTED.items():
        if record.get(key) is not None and not isinstance(record[key], dict):
            return "bad_record", next(iter(inner.values()))[0], f'"{key}" is no object'
    for column, dtype, value in _values(record):
        if dtype not in _EXPECTED or value is None:
            continue
        reason, expected, kind = _EXPECTED[dtype]
        if isinstance(value, str):
            value = _meant(value, kind)
        if type(value) is not kind or (isinstance(value, int) and not -(1 << 63) <= value < 1 << 63):
            return reason, column, f'is "{printable(json.dumps(value), VALUE_LIMIT)}", expected {expected}'
    return None


def _meant(text: str, kind: type) -> Any:
    """Return the number or truth that a text is, otherwise the text."""
    if kind is bool:
        return _TRUTHS.get(text, text)
    return int(text) if re.fullmatch(_WHOLE, text) else text


def _values(record: dict[str, Any]) -> Iterator[tuple[str, pl.DataType, Any]]:
    for key, (column, dtype) in _TOP.items():
        yield column, dtype, record.get(key)
    for key, inner in _NESTED.items():
        values = record.get(key)
        for name, (column, dtype) in inner.items():
            yield column, dtype, values.get(name) if isinstance(values, dict) else None


def _value_of(line: bytes, field: str) -> str | None:
    """Return the text of a canonical or native field in a line."""
    try:
        found = {column: value for column, _, value in _values(json.loads(line))}
    except (ValueError, RecursionError):
        return None
    value = found["end"] if field == "duration_s" else found[field]
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _skip(skipped: dict[str, int], kind: str, count: int) -> None:
    reason = f"other_event:{printable(kind, 40)}"
    skipped[reason] = skipped.get(reason, 0) + count


def _flows_only(
    lines: Lines, frame: pl.DataFrame, rejected: Rejected, skipped: dict[str, int]
) -> tuple[Lines, pl.DataFrame]:
    other = (frame["event_type"] != _FLOW).fill_null(value=True)
    if not other.any():
        return lines, frame
    for kind, count in frame["event_type"].filter(other).drop_nulls().value_counts().iter_rows():
        _skip(skipped, kind, count)
    for index in frame["event_type"].is_null().arg_true().to_list():
        detail = "a record without event_type, expected one of Suricata's EVE log"
        rejected.add(lines, index, "not_eve", detail=detail)
    return lines_where(lines, (~other).to_numpy()), frame.filter(~other)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    nested = [
        pl.col(key).struct.field(name).alias(column)
        for key, inner in _NESTED.items()
        for name, (column, _) in inner.items()
    ]
    return frame.select(*(pl.col(key).alias(column) for key, (column, _) in _TOP.items()), *nested)


_RULES: Final = (
    missing("ts"),
    not_a_time("ts", "start_parsed", _TIME),
    Rule("end", "bad_time", _TIME, pl.col("end").is_not_null() & pl.col("end_parsed").is_null()),
    not_a_duration(),
    *(missing(name) for name in ("orig_h", "resp_h", "proto")),
    *(not_a_port(name) for name in ("orig_p", "resp_p")),
    *(not_an_address(name) for name in ("orig_h", "resp_h")),
    *(below_zero(name) for name in _COUNTS),
)


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    service = pl.col("service").str.to_lowercase()
    numbers = {f"{number:03}": keyword(number) for number in range(256)}
    frame = frame.with_columns(
        pl.col("start_parsed").alias("ts"),
        pl.col("proto").str.to_lowercase().replace(numbers),
        pl.when(~service.is_in(["failed", "unknown", ""])).then(service).alias("service"),
    )
    if frame["label_word"].null_count() == frame.height:
        return frame
    both = pl.concat_str("label_word", "label_detail", separator="/").fill_null(pl.col("label_word"))
    return with_labels(frame.with_columns(both.alias("label_text")), "label_text", label_name)
