"""The reader of AWS VPC flow logs: the default fields (version 2) or any list of fields with its header.

Source: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html (fields of versions 2 to 10). What it
copes with, and how:

- files as S3 gets them, with a header, and as CloudWatch Logs gives them, without one, with or without the time of
  the event in front; fields in any order, unknown ones between; the commas and underscores of Athena's CSV;
- records with ``log-status`` ``NODATA`` or ``SKIPDATA`` are no traffic: passed over, counted by their status;
- ``-`` is null. Ports of protocols without ports, which are written as 0, are null;
- a record is one direction of a connection in an interval of at most ten minutes: its source is the originator, what
  the responder sent is another record and null here. ``start`` and ``end`` are whole seconds, UTC;
- ``pkt-srcaddr`` and ``pkt-dstaddr``, where the log has them, are the true ends of the traffic and become the hosts;
  ``srcaddr`` and ``dstaddr``, the address of the interface or of a gateway between, are kept as ``meta_vpc_*``;
- ``conn_state`` is S0 where that follows: rejected, and UDP or TCP of which only SYN was seen. Otherwise it is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import (
    COUNT,
    LAST_SECOND,
    PORT,
    not_a_duration,
    not_a_port,
    not_an_address,
)
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.protocols import SPELLINGS, WITH_PORTS
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.ingestion.screening import Rule, below_zero, missing, outside
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table
from cybersec_mlops.ingestion.tcp_flags import SYN, flag_letters

NAME: Final = "vpc_flow"
_NUMBER, _TEXT, _INTEGER = pl.Float64(), pl.String(), pl.Int64()
_TIME: Final = ("bad_time", "seconds since 1970")
_COLUMNS: Final[dict[str, Column]] = {
    "srcaddr": Column("meta_vpc_srcaddr", _TEXT),
    "dstaddr": Column("meta_vpc_dstaddr", _TEXT),
    "pkt-srcaddr": Column("pkt_srcaddr", _TEXT),
    "pkt-dstaddr": Column("pkt_dstaddr", _TEXT),
    "srcport": Column("orig_p", _INTEGER, *PORT),
    "dstport": Column("resp_p", _INTEGER, *PORT),
    "protocol": Column("proto", _INTEGER, "bad_protocol", "an IANA protocol number"),
    "packets": Column("orig_pkts", _INTEGER, *COUNT),
    "bytes": Column("orig_ip_bytes", _INTEGER, *COUNT),
    "start": Column("ts", _INTEGER, *_TIME),
    "end": Column("end", _INTEGER, *_TIME),
    "action": Column("vpc_action", _TEXT),
    "log-status": Column("log_status", _TEXT),
    "tcp-flags": Column("tcp_flags", _INTEGER, "bad_number", "a number of TCP flags"),
    "flow-direction": Column("vpc_direction", _TEXT),
    "traffic-path": Column("vpc_traffic_path", _TEXT),
    "pkt-src-aws-service": Column("vpc_src_service", _TEXT),
    "pkt-dst-aws-service": Column("vpc_dst_service", _TEXT),
    "reject-reason": Column("vpc_reject_reason", _TEXT),
    "interface-id": Column("meta_vpc_interface_id", _TEXT),
}
_OTHERS: Final = frozenset(
    {
        *("version", "account-id", "vpc-id", "subnet-id", "instance-id", "type", "region", "az-id"),
        *("sublocation-type", "sublocation-id", "resource-id", "encryption-status"),
        *("ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id"),
        *("ecs-container-id", "ecs-second-container-id", "ecs-service-name", "ecs-task-definition-arn"),
        *("ecs-task-arn", "ecs-task-id"),
    }
)
_OWN: Final = frozenset(name for name in (*_COLUMNS, *_OTHERS) if "-" in name) - {"tcp-flags"}
"""Names that only AWS has."""
_DEFAULT: Final = (
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets"),
    *("bytes", "start", "end", "action", "log-status"),
)
_REQUIRED: Final = ("protocol", "start", "end")
_SOURCES: Final = (("srcaddr", "pkt-srcaddr"), ("dstaddr", "pkt-dstaddr"))
_EVENT_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*")
_NATIVE: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(
        ("vpc_action", "vpc_tcp_flags", "vpc_direction", "vpc_traffic_path", "vpc_src_service", "vpc_dst_service"),
        _TEXT,
    ),
    **dict.fromkeys(("vpc_reject_reason", "meta_vpc_interface_id", "meta_vpc_srcaddr", "meta_vpc_dstaddr"), _TEXT),
}
_NO_TRAFFIC: Final = ("NODATA", "SKIPDATA")
_STATUS: Final = ("OK", *_NO_TRAFFIC)
_PASSED_OVER: Final = {f"log_status:{status}": pl.col("log_status") == status for status in _NO_TRAFFIC}
_HOSTS: Final = {"orig_h": ("pkt_srcaddr", "meta_vpc_srcaddr"), "resp_h": ("pkt_dstaddr", "meta_vpc_dstaddr")}


class VPCFlow:
    """AWS VPC flow logs."""

    name = NAME
    has_time = True

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """What AWS says of a record beside the canonical columns."""
        return _NATIVE

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """None is known."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise a header with names of AWS, or a first record of the default fields."""
        names, _ = _cells(names_of(head.data.removeprefix(BOM).lstrip(b"\r\n").partition(b"\n")[0]))
        columns = _names_of_row(names)
        if columns is not None:
            return Recognition(NAME, "default", has_time=True, ignored=_ignored(columns), notes=_NOTES)
        if not _is_header(names):
            return _without_header(names)
        if lacking := _lacking(names):
            if _OWN.isdisjoint(_fields(names)):
                return None  # srcaddr, dstport and the like are names of many
            return Refusal(
                f"an AWS VPC flow log without {', '.join(lacking)}",
                hint="add the fields to the flow log's format; the default format has them all",
                line=1,
            )
        if head.complete and len(head.data.strip().splitlines()) < 2:
            return Refusal("a flow log with a header and no rows", hint="give a log with records", passable=True)
        variant = "default" if _fields(names) == _DEFAULT else "custom"
        return Recognition(NAME, variant, has_time=True, ignored=_ignored(names), notes=_NOTES)

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a log; see `Reader.read`."""
        del source  # the format has no error of its own
        table = Table(_form_of_header, _form_of_row, expected="a header with srcaddr, dstaddr, start, end, ...")
        return read_table(self, table, stream, batch_bytes=batch_bytes)


_NOTES: Final = ("a record is one direction of a connection; what the responder sent is not known",)


def _cells(names: list[str]) -> tuple[list[str], str]:
    """Return the values and the separator of a line that was cut at commas."""
    return (names[0].split(" "), " ") if len(names) == 1 else (names, ",")


def _fields(names: list[str]) -> tuple[str, ...]:
    return tuple(name.strip().casefold().replace("_", "-").removeprefix("${").removesuffix("}") for name in names)


def _is_header(names: list[str]) -> bool:
    known = set(_fields(names)) & (_COLUMNS.keys() | _OTHERS)
    return len(known) >= max(3, len(names) / 2) and bool(known & {"srcaddr", "pkt-srcaddr", "interface-id"})


def _lacking(names: list[str]) -> list[str]:
    fields = set(_fields(names))
    lacking = [name for name in _REQUIRED if name not in fields]
    return lacking + [either for either, other in _SOURCES if not {either, other} & fields]


def _ignored(names: list[str]) -> tuple[str, ...]:
    return tuple(printable(name, 60) for name in names if name not in _COLUMNS)


def _names_of_row(cells: list[str]) -> list[str] | None:
    """Return the names of a record of the default fields, with the time of CloudWatch in front where it has one."""
    timed = len(cells) == len(_DEFAULT) + 1 and _EVENT_TIME.fullmatch(cells[0]) is not None
    row = cells[1:] if timed else cells
    if len(row) != len(_DEFAULT) or row[0] != "2" or row[-1] not in _STATUS:
        return None
    return [*(["event-time"] if timed else []), *_DEFAULT]


def _without_header(cells: list[str]) -> Refusal | None:
    """Refuse a record of custom fields, as CloudWatch Logs gives it: only its owner knows which they are."""
    values = set(cells)
    if values.isdisjoint(_STATUS) or not (
        any(cell.startswith(("eni-", "vpc-", "subnet-")) for cell in cells) or values & {"ACCEPT", "REJECT"}
    ):
        return None
    return Refusal(
        f"an AWS VPC flow log of {len(cells)} fields without a header, expected the {len(_DEFAULT)} default fields",
        hint="put the flow log's format in front as the first line: version account-id interface-id srcaddr ...",
        line=1,
    )


def _form_of_header(names: list[str]) -> Form | None:
    names, separator = _cells(names)
    return _form(names, separator) if _is_header(names) and not _lacking(names) else None


def _form_of_row(cells: list[str]) -> Form | None:
    cells, separator = _cells(cells)
    names = _names_of_row(cells)
    return None if names is None else _form(names, separator)


def _form(names: list[str], separator: str) -> Form:
    fields = _fields(names)
    columns = tuple(
        _COLUMNS.get(name) if fields.index(name) == position else None for position, name in enumerate(fields)
    )
    targets = {column.name for column in columns if column is not None}
    return Form(
        Layout(separator, columns, null_values=("-", "")),
        tuple(_rules(targets)),
        prepare=partial(_prepare, targets=targets),
        finish=_finish,
        passed_over=_PASSED_OVER if "log_status" in targets else {},
    )


def _prepare(frame: pl.DataFrame, targets: set[str]) -> pl.DataFrame:
    hosts = [
        pl.coalesce(*(pl.col(name) for name in names if name in targets)).alias(host) for host, names in _HOSTS.items()
    ]
    duration = (pl.col("end") - pl.col("ts")).cast(_NUMBER).alias("duration_s")
    return frame.with_columns(*hosts, duration)


def _rules(targets: set[str]) -> Iterator[Rule]:
    yield from (missing(name) for name in ("ts", "end", "proto", *_HOSTS))
    for name in ("ts", "end"):
        yield outside(name, 0, LAST_SECOND, reason=_TIME[0], expected=_TIME[1])
    yield not_a_duration()
    yield outside("proto", 0, 255, reason="bad_protocol", expected="an IANA protocol number")
    yield from (not_an_address(name) for name in _HOSTS)
    yield from (not_a_port(name) for name in ("orig_p", "resp_p") if name in targets)
    yield from (below_zero(name) for name in ("orig_pkts", "orig_ip_bytes") if name in targets)
    if "tcp_flags" in targets:
        yield outside("tcp_flags", 0, 511, reason="bad_number", expected="a number of TCP flags")


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    have = set(frame.columns)
    proto = pl.col("proto").cast(_TEXT).replace(SPELLINGS)
    frame = frame.with_columns(
        (pl.col("ts") * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), proto.alias("proto")
    )
    ports = [
        pl.when(pl.col("proto").is_in(WITH_PORTS)).then(pl.col(name).cast(CONNECTION_SCHEMA[name])).alias(name)
        for name in ("orig_p", "resp_p")
        if name in have
    ]
    refused = (pl.col("vpc_action") == "REJECT") if "vpc_action" in have else pl.lit(value=False)
    only_syn = (pl.col("tcp_flags") == SYN) if "tcp_flags" in have else pl.lit(value=False)
    attempt = refused & ((pl.col("proto") == "udp") | ((pl.col("proto") == "tcp") & only_syn))
    tcp = pl.when(pl.col("proto") == "tcp")
    flags = [tcp.then(flag_letters(pl.col("tcp_flags"))).alias("vpc_tcp_flags")] if "tcp_flags" in have else []
    return frame.with_columns(*ports, *flags, pl.when(attempt).then(pl.lit("S0")).alias("conn_state"))
