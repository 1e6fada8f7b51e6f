r"""Slices of simulated traffic as the bytes of a log: Zeek TSV, Zeek JSON, or CICFlowMeter's CSV.

Every file says that it is synthetic: in a comment line where the format has comments (``#synthetic``), in a key of each
record in JSON (``_synthetic``, underscored like Zeek's own ``_path``), in the row id of a CSV (``SYNTHETIC-1``).
A label is two columns in Zeek's logs, ``label`` (Benign, Malicious) and ``detailedlabel`` (the kind of attack), as
netflowlabeler writes them (https://github.com/stratosphereips/netflowlabeler). Which rows go where is not decided here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from cybersec_mlops.simulate.cicflowmeter import CIC_COLUMNS, cic_rows
from cybersec_mlops.simulate.mark import MARK_CSV, MARK_JSON
from cybersec_mlops.simulate.traffic import seconds

_ZEEK_TYPES: Final[dict[str, str]] = {
    "ts": "time",
    "uid": "string",
    "id.orig_h": "addr",
    "id.orig_p": "port",
    "id.resp_h": "addr",
    "id.resp_p": "port",
    "proto": "enum",
    "service": "string",
    "duration": "interval",
    "orig_bytes": "count",
    "resp_bytes": "count",
    "conn_state": "string",
    "local_orig": "bool",
    "local_resp": "bool",
    "missed_bytes": "count",
    "history": "string",
    "orig_pkts": "count",
    "orig_ip_bytes": "count",
    "resp_pkts": "count",
    "resp_ip_bytes": "count",
    "tunnel_parents": "set[string]",
}
_LABEL_TYPES: Final = {"label": "string", "detailedlabel": "string"}


@dataclass(frozen=True, slots=True)
class LogFormat:
    """How slices become a file."""

    stem: str
    suffix: str
    header: Callable[[bool, str, datetime], bytes]
    """From labelled, what made it, and when the file begins."""
    rows: Callable[[pl.DataFrame, bool, int], bytes]
    """From a slice, labelled, and the number of rows before it."""
    footer: Callable[[datetime], bytes]
    """From when the file ends."""


def _tsv_header(labelled: bool, origin: str, begins: datetime) -> bytes:
    types = _ZEEK_TYPES | (_LABEL_TYPES if labelled else {})
    lines = [
        "#separator \\x09",
        f"#synthetic\t{origin}",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tconn",
        f"#open\t{begins:%Y-%m-%d-%H-%M-%S}",
        "\t".join(["#fields", *types]),
        "\t".join(["#types", *types.values()]),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _tsv_rows(rows: pl.DataFrame, labelled: bool, before: int) -> bytes:  # noqa: ARG001 - one signature for all formats
    def flag(name: str) -> pl.Expr:
        return pl.when(name).then(pl.lit("T")).otherwise(pl.lit("F")).alias(name)

    columns = [*_zeek_columns(rows), pl.lit(None, pl.String).alias("tunnel_parents")]
    named = rows.select(*columns, *(_labels(pl.lit("(empty)")) if labelled else []))
    buffer = io.BytesIO()
    named.with_columns(flag("local_orig"), flag("local_resp")).write_csv(
        buffer, include_header=False, separator="\t", null_value="-", float_precision=6, quote_style="never"
    )
    return buffer.getvalue()


def _tsv_footer(ends: datetime) -> bytes:
    return f"#close\t{ends:%Y-%m-%d-%H-%M-%S}\n".encode()


def _json_rows(rows: pl.DataFrame, labelled: bool, before: int) -> bytes:  # noqa: ARG001 - one signature for all formats
    named = rows.select(*_zeek_columns(rows), *(_labels(pl.lit(None, pl.String)) if labelled else []))
    pairs = [_json_pair(name, kind == pl.String) for name, kind in named.schema.items()]
    objects = named.select(pl.concat_str([pl.lit("{"), *pairs, pl.lit("," + MARK_JSON.decode() + "}")]))
    buffer = io.BytesIO()
    objects.write_csv(buffer, include_header=False, quote_style="never")
    return buffer.getvalue()


def _json_pair(name: str, is_text: bool) -> pl.Expr:
    """Write one key with its value; Zeek leaves out the keys of what is unset. No text of ours needs an escape.

    Twice as fast as `write_ndjson` and taking the nulls out again.
    """
    key, quote = ("" if name == "ts" else ",") + f'"{name}":', '"' if is_text else ""
    return pl.concat_str([pl.lit(key + quote), pl.col(name), pl.lit(quote)]).fill_null("")


def _zeek_columns(rows: pl.DataFrame) -> list[pl.Expr]:
    renamed = {"orig_h": "id.orig_h", "orig_p": "id.orig_p", "resp_h": "id.resp_h", "resp_p": "id.resp_p"}
    columns = [pl.col(name).alias(renamed.get(name, name)) for name in rows.columns if name != "attack"]
    special = {
        "ts": pl.lit(seconds(rows.get_column("ts").dt.epoch("us"))).alias("ts"),
        "duration_s": pl.col("duration_s").alias("duration"),
    }
    return [special.get(name, column) for name, column in zip(rows.columns, columns, strict=False)]


def _labels(nothing: pl.Expr) -> list[pl.Expr]:
    benign = pl.col("attack").is_null()
    return [
        pl.when(benign).then(pl.lit("Benign")).otherwise(pl.lit("Malicious")).alias("label"),
        pl.when(benign).then(nothing).otherwise("attack").alias("detailedlabel"),
    ]


def _csv_rows(rows: pl.DataFrame, labelled: bool, before: int) -> bytes:
    ids = pl.int_range(before + 1, before + rows.height + 1).cast(pl.String)
    table = cic_rows(rows, labelled=labelled).with_columns((MARK_CSV + ids).alias("id"))
    buffer = io.BytesIO()
    table.select(CIC_COLUMNS).write_csv(buffer, include_header=False, quote_style="never")
    return buffer.getvalue()


def _csv_header(labelled: bool, origin: str, begins: datetime) -> bytes:  # noqa: ARG001 - one signature for all formats
    return (",".join(CIC_COLUMNS) + "\n").encode()


def _nothing(*_: object) -> bytes:
    return b""


FORMATS: Final[dict[str, LogFormat]] = {
    "zeek-tsv": LogFormat("conn", "log", _tsv_header, _tsv_rows, _tsv_footer),
    "zeek-json": LogFormat("conn", "log", _nothing, _json_rows, _nothing),
    "cicflowmeter": LogFormat("connections", "csv", _csv_header, _csv_rows, _nothing),
}
"""Every format that can be written, by the name that the command takes."""
