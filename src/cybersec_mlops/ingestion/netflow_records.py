"""Records of one template as connections, many at once: a matrix of bytes becomes columns of numbers.

Source: RFC 7012 and https://www.iana.org/assignments/ipfix for elements and units; RFC 3954 and Cisco's documentation
for times relative to the exporter's start; RFC 5103 for the other direction; Zeek's manual for ``conn_state``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from cybersec_mlops.ingestion.connection_rules import in_seconds
from cybersec_mlops.ingestion.netflow_templates import ADDRESSES, VARIABLE, Template
from cybersec_mlops.ingestion.protocols import ICMP, WITH_PORTS, keyword
from cybersec_mlops.ingestion.tcp_flags import ACK, FIN, RST, SYN, flag_letters

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

TOO_LARGE: Final = -1
"""What a number beyond 63 bits becomes, so that a rule can find it."""
MAX_PADDING: Final = 3
"""Bytes after the last record of a set that need not be zero to be passed over: sets end on words of four bytes."""
_REASONS: Final = ("idle timeout", "active timeout", "end of flow", "forced end", "lack of resources")
_END_REASONS: Final = dict(enumerate(_REASONS, start=1))
_FIREWALL: Final = {0: "ignore", 1: "created", 2: "deleted", 3: "denied", 4: "alert", 5: "update"}
_DIRECTIONS: Final = {0: "ingress", 1: "egress"}
_NTP_EPOCH: Final = 2_208_988_800
_WRAP: Final = 1 << 32
_PROTOCOLS: Final = {number: keyword(number) for number in range(256)}
NATIVE: Final[dict[str, pl.DataType]] = {
    "netflow_tcp_flags": pl.String(),
    "netflow_tcp_flags_resp": pl.String(),
    "netflow_tos": pl.Float64(),
    "netflow_icmp_type": pl.Float64(),
    "netflow_icmp_code": pl.Float64(),
    "netflow_direction": pl.String(),
    "netflow_end_reason": pl.String(),
    "netflow_firewall_event": pl.String(),
    "netflow_sampling_interval": pl.Float64(),
    "meta_netflow_source": pl.String(),
}


@dataclass(slots=True)
class Run:
    """Records that follow each other in one set."""

    data: bytes
    offset: int
    """Where they begin in the file."""
    order: int
    """Place among all runs of the file, in the order in which they could be read."""
    export_us: int
    uptime_ms: int
    """-1 where the header has none."""
    init_ms: int
    """When the exporter started, milliseconds since 1970; -1 where it is not known."""
    sampling: float
    source: str
    version: int
    cut: bool = False
    """The set ends before it says that it does; that was told already."""


@dataclass(slots=True)
class Records:
    """Records of one template of fixed length, or brought to one: a row of bytes each."""

    matrix: Bytes
    fields: Mapping[str, tuple[int, int]]
    """Name to (offset, length) in a row."""
    offsets: Ints
    runs: list[Run]
    counts: list[int]
    """Records of each run."""
    broken: list[tuple[Run, int, int]] = field(default_factory=list)
    """(run, place, bytes) of what is left where a run ends within a record."""

    def repeated(self, value: Callable[[Run], Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return something of its run for each record."""
        return np.repeat(np.array([value(run) for run in self.runs], dtype), self.counts)

    def number(self, name: str) -> Ints | None:
        """Return an unsigned number, `TOO_LARGE` beyond 63 bits; None where there is no such field."""
        place = self.fields.get(name)
        if place is None:
            return None
        columns = self.matrix[:, place[0] : place[0] + place[1]]
        value = np.zeros(len(self.matrix), np.uint64)
        for position in range(max(0, place[1] - 8), place[1]):
            value = (value << np.uint64(8)) | columns[:, position]
        large = value >> np.uint64(63) != 0
        if place[1] > 8:
            large |= columns[:, : place[1] - 8].any(axis=1)
        return np.where(large, TOO_LARGE, value.astype(np.int64))


def fixed_records(template: Template, runs: list[Run]) -> Records:
    """Lay runs of records of one length side by side."""
    size = template.record_bytes
    counts, whole, broken = [], [], []
    for run in runs:
        count = len(run.data) // size
        counts.append(count)
        whole.append(run.data[: count * size])
        rest = len(run.data) - count * size
        if rest > MAX_PADDING and not run.cut and any(run.data[count * size :]):
            broken.append((run, count * size, rest))
    matrix = np.frombuffer(b"".join(whole), np.uint8).reshape(-1, size)
    offsets = [run.offset + size * np.arange(count, dtype=np.int64) for run, count in zip(runs, counts, strict=True)]
    places = {name: (place.offset, place.length) for name, place in template.fields}
    return Records(matrix, places, np.concatenate(offsets), runs, counts, broken)


def variable_records(template: Template, runs: list[Run]) -> Records:
    """Walk through records with fields that say their own length, and keep the fields that become something."""
    places, size = dict[str, tuple[int, int]](), 0
    wanted = dict[int, int]()
    for name, place in template.fields:
        if place.length != VARIABLE:
            places[name], wanted[place.position] = (size, place.length), size
            size += place.length
    rows, offsets, counts, broken = list[bytes](), list[int](), list[int](), list[tuple[Run, int, int]]()
    for run in runs:
        position, count = 0, 0
        while position + template.record_bytes <= len(run.data):
            row, after = _walk(run.data, position, template.lengths, wanted)
            if after is None:
                break
            rows.append(row)
            offsets.append(run.offset + position)
            position, count = after, count + 1
        counts.append(count)
        if len(run.data) - position > MAX_PADDING and not run.cut and any(run.data[position:]):
            broken.append((run, position, len(run.data) - position))
    matrix = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), size)
    return Records(matrix, places, np.array(offsets, np.int64), runs, counts, broken)


def _walk(data: bytes, position: int, lengths: tuple[int, ...], wanted: Mapping[int, int]) -> tuple[bytes, int | None]:
    pieces = []
    for number, length in enumerate(lengths):
        if length == VARIABLE:
            if position >= len(data):
                return b"", None
            length = data[position]
            position += 1
            if length == 255:
                length = int.from_bytes(data[position : position + 2], "big")
                position += 2
        elif number in wanted:
            pieces.append(data[position : position + length])
        position += length
    return b"".join(pieces), None if position > len(data) else position


def connections(records: Records) -> pl.DataFrame:
    """Return the records as canonical and native columns, with ``raw_line`` and ``order``; nothing is checked here."""
    columns: dict[str, Any] = {
        "raw_line": records.offsets + 1,
        "order": records.repeated(lambda run: run.order, np.int64),
        "version": records.repeated(lambda run: run.version, np.int64),
        **_times(records),
        **_counters(records),
        **{name: records.number(name) for name in ("protocol", "source_port", "destination_port")},
        **{name: _flags(records, name) for name in ("flags", "flags_responder")},
        **{name: records.number(name) for name in ("tos", "icmp", "icmp_type", "icmp_code")},
        **{name: records.number(name) for name in ("direction", "end_reason", "firewall_event", "flow_id", "sampling")},
    }
    schema: dict[str, Any] = dict.fromkeys(columns, pl.Int64())
    frame = pl.DataFrame({name: _series(name, values, len(records.matrix)) for name, values in columns.items()}, schema)
    hosts = [_hosts(records, side).alias(name) for side, name in (("source", "orig_h"), ("destination", "resp_h"))]
    sampled = pl.Series("run_sampling", records.repeated(lambda run: run.sampling, np.float64))
    source = pl.Series("meta_netflow_source", records.repeated(lambda run: run.source, object).tolist(), pl.String())
    return _canonical(frame.with_columns(*hosts, sampled, source))


def _flags(records: Records, name: str) -> Ints | None:
    """Return the TCP flags of all packets of one direction, also where YAF tells those of the first one apart."""
    if (said := records.number(name)) is not None:
        return said
    first, later = (records.number(name.replace("flags", f"flags_{part}")) for part in ("first", "later"))
    return None if first is None or later is None else first | later


def _series(name: str, values: Ints | None, height: int) -> pl.Series:
    return (
        pl.Series(name, values, pl.Int64())
        if values is not None
        else pl.repeat(None, height, dtype=pl.Int64(), eager=True)
    )


def _times(records: Records) -> dict[str, Ints | None]:
    """Return start and end in microseconds since 1970, and a duration where the record says one."""
    export = records.repeated(lambda run: run.export_us, np.int64)
    start, end = _instant(records, "start", export), _instant(records, "end", export)
    event = _instant(records, "event", export)
    duration, scale = records.number("duration_us"), 1
    if duration is None:
        duration, scale = records.number("duration_ms"), 1_000
    return {
        "start": start,
        "end": end,
        "event": event,
        "export": export,
        "said_us": None if duration is None else np.where(duration > 1 << 50, TOO_LARGE, duration * scale),
    }


def _instant(records: Records, which: str, export: Ints) -> Ints | None:
    for unit, scale in (("ms", 1_000), ("s", 1_000_000)):
        if (value := records.number(f"{which}_{unit}")) is not None:
            return np.where((value < 0) | (value > (1 << 60) // scale), TOO_LARGE, value * scale)
    if (value := records.number(f"{which}_ntp")) is not None:
        return _ntp(records, f"{which}_ntp")
    if (value := records.number(f"{which}_before_us")) is not None:
        return export - value
    if (value := records.number(f"{which}_uptime")) is not None:
        return _since_start(records, value, export)
    return None


def _ntp(records: Records, name: str) -> Ints:
    """Return 64 bits of NTP: seconds since 1900 (2036 begins a new era) and their 2**32nd parts."""
    offset, length = records.fields[name]
    if length != 8:
        return np.full(len(records.matrix), TOO_LARGE, np.int64)
    words = np.ascontiguousarray(records.matrix[:, offset : offset + 8]).view(">u4").astype(np.int64)
    seconds = words[:, 0] - _NTP_EPOCH + np.where(words[:, 0] < 1 << 31, _WRAP, 0)
    return np.where(words.any(axis=1), seconds * 1_000_000 + ((words[:, 1] * 1_000_000 + (1 << 31)) >> 32), 0)


def _since_start(records: Records, value: Ints, export: Ints) -> Ints:
    """Return times that count milliseconds from the exporter's start; the counter has 32 bits and wraps in 50 days."""
    uptime = records.repeated(lambda run: run.uptime_ms, np.int64)
    init = records.repeated(lambda run: run.init_ms, np.int64)
    ago = (uptime - value) & (_WRAP - 1)
    ago = np.where(ago >= _WRAP // 2, ago - _WRAP, ago)
    by_init = np.where(init >= 0, (init + value) * 1_000, export - (_last_uptime(records, value) - value) * 1_000)
    return np.where(value < 0, TOO_LARGE, np.where(uptime >= 0, export - ago * 1_000, by_init))


def _last_uptime(records: Records, value: Ints) -> Ints:
    """Return when a record ended by the exporter's counter: where its start is not known, that is when it was sent."""
    end = records.number("end_uptime")
    return value if end is None else end


def _counters(records: Records) -> dict[str, Ints | None]:
    """Return bytes and packets of both directions, null for what the record does not say."""
    found = {}
    for what, name in (("octets", "ip_bytes"), ("packets", "pkts")):
        forward = [records.number(f"{what}_{kind}") for kind in ("initiator",)]
        plain = [records.number(what), records.number(f"{what}_total")]
        out, back = records.number(f"{what}_out"), records.number(f"{what}_responder")
        orig = next((value for value in (*forward, *plain) if value is not None), None)
        found[f"orig_{name}"] = out if orig is None else orig
        found[f"resp_{name}"] = back
        found[f"out_{name}"] = None if orig is None else out
    return found


def _hosts(records: Records, side: str) -> pl.Series:
    old, new = _addresses(records, f"{side}_v4"), _addresses(records, f"{side}_v6")
    if old is None or new is None:
        found = old if old is not None else new
        return found if found is not None else pl.repeat(None, len(records.matrix), dtype=pl.String(), eager=True)
    version = records.number("ip_version")
    six = new != "::" if version is None else pl.Series(version == 6)
    return new.zip_with(six, old)


def _addresses(records: Records, name: str) -> pl.Series | None:
    if (place := records.fields.get(name)) is None:
        return None
    size = ADDRESSES[name]
    columns = np.ascontiguousarray(records.matrix[:, place[0] : place[0] + size])
    keys = columns.view(f"V{size}" if size > 4 else np.uint32).reshape(-1)
    distinct, index = np.unique(keys, return_inverse=True)
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    texts = [socket.inet_ntop(family, value.tobytes()) for value in distinct]
    return pl.Series(texts, dtype=pl.String()).gather(index.reshape(-1))


def _canonical(frame: pl.DataFrame) -> pl.DataFrame:
    proto = pl.col("protocol").replace_strict(_PROTOCOLS, default=None, return_dtype=pl.String())
    started = pl.when(pl.col("start") != 0).then(pl.col("start"))
    end, event = (pl.when(pl.col(name) != 0).then(pl.col(name)) for name in ("end", "event"))
    start, spanned = pl.coalesce(started, event, pl.col("export")), pl.coalesce(end, event) - started
    frame = frame.with_columns(
        start.alias("start"), proto.alias("proto"), pl.coalesce(spanned, pl.col("said_us")).alias("us")
    )
    return frame.with_columns(
        in_seconds(pl.col("us"), 1e6).alias("duration_s"),
        *_both_directions(),
        *(_port(name).alias(column) for name, column in (("source_port", "orig_p"), ("destination_port", "resp_p"))),
    ).with_columns(*_natives(), conn_state().alias("conn_state"))


def _both_directions() -> Iterator[pl.Expr]:
    """The counters of the responder: those that a record of both directions has, or v9's OUT_* beside IN_*."""
    for name in ("ip_bytes", "pkts"):
        out = pl.when(pl.col("version") == 9).then(pl.col(f"out_{name}"))
        yield pl.coalesce(f"resp_{name}", out).alias(f"resp_{name}")
        yield pl.col(f"resp_{name}").is_not_null().alias(f"two_ways_{name}")


def _port(name: str) -> pl.Expr:
    return pl.when(pl.col("proto").is_in(WITH_PORTS)).then(pl.col(name))


def _natives() -> Iterator[pl.Expr]:
    tcp, icmp = pl.col("proto") == "tcp", pl.col("proto").is_in(ICMP)
    packed = pl.coalesce(pl.when(pl.col("icmp") != 0).then("icmp"), "destination_port", "icmp")
    yield pl.when(tcp).then(flag_letters(pl.col("flags"))).alias("netflow_tcp_flags")
    yield pl.when(tcp).then(flag_letters(pl.col("flags_responder"))).alias("netflow_tcp_flags_resp")
    yield pl.col("tos").cast(pl.Float64()).alias("netflow_tos")
    yield pl.when(icmp).then(pl.coalesce("icmp_type", packed // 256)).cast(pl.Float64()).alias("netflow_icmp_type")
    yield pl.when(icmp).then(pl.coalesce("icmp_code", packed % 256)).cast(pl.Float64()).alias("netflow_icmp_code")
    for name, words in (("direction", _DIRECTIONS), ("end_reason", _END_REASONS), ("firewall_event", _FIREWALL)):
        yield pl.col(name).replace_strict(words, default=None, return_dtype=pl.String()).alias(f"netflow_{name}")
    said = pl.when(pl.col("sampling") > 0).then(pl.col("sampling").cast(pl.Float64()))
    sampled = pl.when(pl.col("run_sampling") > 0).then(pl.col("run_sampling"))
    yield pl.coalesce(said, sampled).alias("netflow_sampling_interval")
    yield pl.when(pl.col("flow_id") > 0).then(pl.col("flow_id").cast(pl.String())).alias("uid")


def conn_state() -> pl.Expr:
    """Return Zeek's state of a record of both directions, null where it does not follow.

    TCP needs the flags of each side, other protocols whether the responder sent anything.
    """
    orig, resp = pl.col("flags"), pl.col("flags_responder")

    def has(flags: pl.Expr, bit: int) -> pl.Expr:
        return (flags & bit) != 0

    answered = has(resp, SYN) & has(resp, ACK)
    silent = resp == 0
    closed = (
        pl.when(has(orig, FIN) & has(resp, FIN)).then(pl.lit("SF"))
        .when(has(orig, RST)).then(pl.lit("RSTO"))
        .when(has(resp, RST)).then(pl.lit("RSTR"))
        .when(has(orig, FIN)).then(pl.lit("S2"))
        .when(has(resp, FIN)).then(pl.lit("S3"))
        .otherwise(pl.lit("S1"))
    )  # fmt: skip
    unanswered = (
        pl.when(has(orig, FIN)).then(pl.lit("SH"))
        .when(has(orig, RST)).then(pl.lit("RSTOS0"))
        .otherwise(pl.lit("S0"))
    )  # fmt: skip
    late = (
        pl.when(has(resp, RST)).then(pl.lit("RSTRH"))
        .when(has(resp, FIN)).then(pl.lit("SHR"))
        .otherwise(pl.lit("OTH"))
    )  # fmt: skip
    tcp = (
        pl.when(has(orig, SYN) & answered).then(closed)
        .when(has(orig, SYN) & silent).then(unanswered)
        .when(has(orig, SYN) & has(resp, RST)).then(pl.lit("REJ"))
        .when(answered).then(late)
        .otherwise(pl.lit("OTH"))
    )  # fmt: skip
    replied = pl.coalesce(pl.col("resp_pkts"), pl.col("resp_ip_bytes"))
    other = pl.when(replied > 0).then(pl.lit("SF")).when(replied == 0).then(pl.lit("S0"))
    two_ways = pl.col("two_ways_pkts") | pl.col("two_ways_ip_bytes")
    return (
        pl.when((pl.col("proto") == "tcp") & orig.is_not_null() & resp.is_not_null())
        .then(tcp)
        .when((pl.col("proto") != "tcp") & two_ways & pl.col("firewall_event").is_null())
        .then(other)
    )
