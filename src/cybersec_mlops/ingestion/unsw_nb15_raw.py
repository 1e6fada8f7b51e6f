"""The reader of UNSW-NB15's raw files: 49 columns with hosts and times, published without a header; one is tolerated.

Source: Moustafa and Slay, MilCIS 2015, and the publisher's ``NUSW-NB15_features.csv``
(https://research.unsw.edu.au/projects/unsw-nb15-dataset). What it copes with, and how:

- hexadecimal ports and ``-`` are null, the row is kept;
- the attack category is empty for normal rows, has blanks around it, and comes in two spellings (Backdoor, Backdoors);
- blanks inside a name (``ct_src_ ltm``) and instead of a value (``ct_ftp_cmd``); ``is_ftp_login`` up to 4;
- ``Stime`` is in whole seconds since 1970.

The columns have the names that `cybersec_mlops.ingestion.unsw_nb15` gives them; it says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import (
    COUNT,
    LAST_SECOND,
    PORT,
    not_a_duration,
    not_an_address,
)
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.labels import with_labels
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.screening import Rule, below_zero, missing, not_whole, outside
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table
from cybersec_mlops.ingestion.unsw_nb15 import folded, label_name

NAME: Final = "unsw_nb15_raw"

_NUMBER, _TEXT, _INTEGER = pl.Float64(), pl.String(), pl.Int64()
_MEASURE: Final = ("bad_number", "a number of 0 or more")
_COLUMNS: Final[dict[str, Column]] = {
    "srcip": Column("orig_h", _TEXT),
    "sport": Column("orig_p", _TEXT),
    "dstip": Column("resp_h", _TEXT),
    "dsport": Column("resp_p", _TEXT),
    "proto": Column("proto", _TEXT),
    "state": Column("unsw_state", _TEXT),
    "dur": Column("duration_s", _NUMBER, "bad_duration", "seconds, 0 or more"),
    "sbytes": Column("orig_ip_bytes", _INTEGER, *COUNT),
    "dbytes": Column("resp_ip_bytes", _INTEGER, *COUNT),
    "sttl": Column("unsw_sttl", _NUMBER),
    "dttl": Column("unsw_dttl", _NUMBER),
    "sloss": Column("unsw_sloss_packets", _NUMBER),
    "dloss": Column("unsw_dloss_packets", _NUMBER),
    "service": Column("service", _TEXT),
    "sload": Column("unsw_sload_bits_per_s", _NUMBER),
    "dload": Column("unsw_dload_bits_per_s", _NUMBER),
    "spkts": Column("orig_pkts", _INTEGER, *COUNT),
    "dpkts": Column("resp_pkts", _INTEGER, *COUNT),
    "swin": Column("unsw_swin", _NUMBER),
    "dwin": Column("unsw_dwin", _NUMBER),
    "stcpb": Column("meta_unsw_stcpb", _NUMBER),
    "dtcpb": Column("meta_unsw_dtcpb", _NUMBER),
    "smeansz": Column("unsw_smean_bytes", _NUMBER),
    "dmeansz": Column("unsw_dmean_bytes", _NUMBER),
    "trans_depth": Column("unsw_trans_depth", _NUMBER),
    "res_bdy_len": Column("unsw_response_body_bytes", _NUMBER),
    "sjit": Column("unsw_sjit_ms", _NUMBER),
    "djit": Column("unsw_djit_ms", _NUMBER),
    "stime": Column("ts", _NUMBER, "bad_time", "seconds since 1970"),
    "ltime": Column("last", _NUMBER, "bad_time", "seconds since 1970"),
    "sintpkt": Column("unsw_sinpkt_ms", _NUMBER),
    "dintpkt": Column("unsw_dinpkt_ms", _NUMBER),
    "tcprtt": Column("unsw_tcprtt_s", _NUMBER),
    "synack": Column("unsw_synack_s", _NUMBER),
    "ackdat": Column("unsw_ackdat_s", _NUMBER),
    "is_sm_ips_ports": Column("unsw_is_sm_ips_ports", _NUMBER, "bad_boolean", "0 or 1"),
    "ct_state_ttl": Column("unsw_ct_state_ttl", _NUMBER),
    "ct_flw_http_mthd": Column("unsw_ct_flw_http_mthd", _NUMBER),
    "is_ftp_login": Column("unsw_is_ftp_login", _NUMBER),
    "ct_ftp_cmd": Column("unsw_ct_ftp_cmd", _NUMBER),
    "ct_srv_src": Column("unsw_ct_srv_src", _NUMBER),
    "ct_srv_dst": Column("unsw_ct_srv_dst", _NUMBER),
    "ct_dst_ltm": Column("unsw_ct_dst_ltm", _NUMBER),
    "ct_src_ltm": Column("unsw_ct_src_ltm", _NUMBER),
    "ct_src_dport_ltm": Column("unsw_ct_src_dport_ltm", _NUMBER),
    "ct_dst_sport_ltm": Column("unsw_ct_dst_sport_ltm", _NUMBER),
    "ct_dst_src_ltm": Column("unsw_ct_dst_src_ltm", _NUMBER),
    "attack_cat": Column("label_text", _TEXT),
    "label": Column("label_bit", _INTEGER, "bad_boolean", "0 or 1"),
}
"""The publisher's names in the order of the files, to the columns that they become."""

_MEASURES: Final = tuple(
    column.name
    for column in _COLUMNS.values()
    if column.dtype == _NUMBER and column.name.removeprefix("meta_").startswith("unsw_")
)
_COUNTS: Final = ("orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes")
_PORTS: Final = ("orig_p", "resp_p")
_NO_PORT: Final = r"^(-|0[xX][0-9A-Fa-f]{1,8})$"
_TELLING: Final = frozenset({"srcip", "dsport", "stime", "ltime"})
_LAYOUT: Final = Layout(",", tuple(_COLUMNS.values()))


class UNSWNB15Raw:
    """The raw files of UNSW-NB15."""

    name = NAME
    has_time = True

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """What is measured beside the canonical columns."""
        types: dict[str, pl.DataType] = dict.fromkeys(_MEASURES, _NUMBER)
        return {"unsw_state": _TEXT, **types, "unsw_is_sm_ips_ports": pl.Boolean()}

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """Columns that carry the test bed rather than the attack."""
        why = "the attacks were generated by one appliance, whose packets have their own time to live"
        return {
            "unsw_sttl": why,
            "unsw_dttl": why,
            "unsw_ct_state_ttl": "counts rows by ranges of the time to live, which gives the attack generator away",
        }

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the header's names, or the number and kind of the first row's values."""
        first = names_of(head.data.removeprefix(BOM).lstrip(b"\r\n").partition(b"\n")[0])
        if _is_row(first):
            return Recognition(NAME, "no header", has_time=True, notes=("labelled",))
        names = [folded(name) for name in first]
        if not set(names) >= _TELLING:
            return None
        if lacking := [name for name in _COLUMNS if name not in names]:
            return Refusal(
                f"a table like UNSW-NB15's raw files, whose columns are not theirs: missing {', '.join(lacking[:8])}",
                hint="give the published files UNSW-NB15_1.csv to UNSW-NB15_4.csv",
                line=1,
            )
        if head.complete and len(head.data.strip().splitlines()) < 2:
            return Refusal(
                "a raw UNSW-NB15 table with a header and no rows", hint="give a table with connections", passable=True
            )
        ignored = tuple(name for name in first if folded(name) not in _COLUMNS)
        return Recognition(NAME, "header", has_time=True, ignored=ignored, notes=("labelled",))

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table; see `Reader.read`."""
        del source  # the format has no error of its own
        table = Table(_form_of_header, _form_of_row, encoding="cp1252", expected="one with the raw files' 49 values")
        return read_table(self, table, stream, batch_bytes=batch_bytes)


def _is_row(cells: list[str]) -> bool:
    """Say whether a row has the number of values, and a time and a label where they belong."""
    if len(cells) != len(_COLUMNS) or cells[-1] not in ("0", "1"):
        return False
    start = cells[list(_COLUMNS).index("stime")]
    return len(start) <= 12 and start.isascii() and start.isdigit() and ("." in cells[0] or ":" in cells[0])


def _form_of_row(cells: list[str]) -> Form | None:
    return _form(_LAYOUT) if _is_row(cells) else None


def _form_of_header(names: list[str]) -> Form | None:
    found = [folded(name) for name in names]
    if not set(found) >= _COLUMNS.keys():
        return None
    first = {name: found.index(name) for name in _COLUMNS}
    columns = tuple(_COLUMNS.get(name) if first.get(name) == place else None for place, name in enumerate(found))
    return _form(Layout(",", columns))


def _form(layout: Layout) -> Form:
    return Form(layout, _RULES, prepare=_prepare, finish=_finish, impossible=_ports_that_are_none)


def _prepare(frame: pl.DataFrame) -> pl.DataFrame:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String()]
    stripped = [pl.col(name).str.strip_chars(" \t\r") for name in texts if name != "label_text"]
    ports = [pl.col(name).str.strip_chars().cast(pl.Int64, strict=False).alias(f"{name}_parsed") for name in _PORTS]
    return frame.with_columns(*stripped, *ports)


def _is_not_a_port(name: str) -> Rule:
    number = pl.col(f"{name}_parsed").is_between(0, 65_535).fill_null(value=False)
    return Rule(name, *PORT, ~(number | pl.col(name).str.contains(_NO_PORT)))


def _label_conflict() -> Rule:
    word = pl.col("label_text").str.strip_chars().str.to_lowercase().fill_null("")
    return Rule(
        "label_bit",
        "label_conflict",
        "0 without an attack category and 1 with one",
        ~word.is_in(["", "normal"]) & (pl.col("label_bit") == 0) | (word == "normal") & (pl.col("label_bit") == 1),
    )


_RULES: Final = (
    *(missing(name) for name in ("ts", "orig_h", "resp_h", "proto", "duration_s", "label_bit")),
    outside("ts", 0, LAST_SECOND, reason="bad_time", expected="seconds since 1970, to 2099"),
    not_a_duration(),
    *(_is_not_a_port(name) for name in _PORTS),
    *(not_an_address(name) for name in ("orig_h", "resp_h")),
    *(below_zero(name) for name in _COUNTS),
    *(outside(name, 0, 1e300, reason=_MEASURE[0], expected=_MEASURE[1]) for name in _MEASURES),
    outside("unsw_is_sm_ips_ports", 0, 1, reason="bad_boolean", expected="0 or 1"),
    not_whole("unsw_is_sm_ips_ports", reason="bad_boolean", expected="0 or 1"),
    outside("label_bit", 0, 1, reason="bad_boolean", expected="0 or 1"),
    _label_conflict(),
)


def _ports_that_are_none(frame: pl.DataFrame) -> dict[str, int]:
    counts = {name: int((frame[name].is_not_null() & frame[f"{name}_parsed"].is_null()).sum()) for name in _PORTS}
    return {name: count for name, count in counts.items() if count}


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    service = pl.col("service").str.to_lowercase()
    text = pl.col("label_text")
    from_bit = pl.col("label_bit").replace_strict({0: "Normal", 1: "Attack"}, return_dtype=pl.String)
    frame = frame.with_columns(
        (pl.col("ts") * 1e6).round().cast(pl.Int64).cast(CONNECTION_SCHEMA["ts"]),
        pl.col("proto").str.to_lowercase(),
        pl.when(~service.is_in(["-", ""])).then(service).alias("service"),
        pl.when(pl.col("unsw_state") != "no").then(pl.col("unsw_state")).alias("unsw_state"),
        *(pl.col(f"{name}_parsed").cast(CONNECTION_SCHEMA[name]).alias(name) for name in _PORTS),
        pl.col("unsw_is_sm_ips_ports").cast(pl.Boolean),
        pl.when(text.str.strip_chars() != "").then(text).otherwise(from_bit).alias("label_text"),
    )
    return with_labels(frame, "label_text", label_name)
