"""Features of one connection that follow from its own columns: ratios, the shape of the history, the port's class."""

from __future__ import annotations

from typing import Final

import polars as pl

HISTORY_FEATURES: Final[dict[str, str]] = {
    "history_orig_syn": "S",
    "history_resp_synack": "h",
    "history_orig_ack": "A",
    "history_resp_ack": "a",
    "history_orig_data": "D",
    "history_resp_data": "d",
    "history_orig_fin": "F",
    "history_resp_fin": "f",
    "history_orig_rst": "R",
    "history_resp_rst": "r",
    "history_orig_retransmission": "T",
    "history_resp_retransmission": "t",
    "history_flipped": "^",
}
"""Feature to letter of Zeek's ``history`` (Zeek manual, conn.log): whether the event was seen at all."""

DERIVED_SCHEMA: Final[dict[str, pl.DataType]] = {
    "resp_port_class": pl.String(),
    "orig_bytes_per_pkt": pl.Float64(),
    "resp_bytes_per_pkt": pl.Float64(),
    "orig_byte_share": pl.Float64(),
    "bytes_per_s": pl.Float64(),
    "pkts_per_s": pl.Float64(),
    "history_length": pl.Int64(),
    **dict.fromkeys(HISTORY_FEATURES, pl.Boolean()),
}
"""Names and dtypes of what `add_derived` adds."""

SYSTEM_PORTS_END: Final = 1023
USER_PORTS_END: Final = 49151


def add_derived(connections: pl.DataFrame) -> pl.DataFrame:
    """Add the features that follow from a connection's own columns.

    Parameters
    ----------
    connections : DataFrame
        Rows with the columns of `connections.CONNECTION_SCHEMA`.

    Returns
    -------
    DataFrame
        The same rows with the columns of `DERIVED_SCHEMA`. What cannot be computed (unset input, division by zero)
        is null. Port classes are those of RFC 6335, section 6: system, user, dynamic.
    """
    port, sent, received = pl.col("resp_p"), pl.col("orig_bytes"), pl.col("resp_bytes")
    port_class = (
        pl.when(port <= SYSTEM_PORTS_END)
        .then(pl.lit("system"))
        .when(port <= USER_PORTS_END)
        .then(pl.lit("user"))
        .when(port.is_not_null())
        .then(pl.lit("dynamic"))
    )
    return connections.with_columns(
        port_class.alias("resp_port_class"),
        _ratio(sent, pl.col("orig_pkts")).alias("orig_bytes_per_pkt"),
        _ratio(received, pl.col("resp_pkts")).alias("resp_bytes_per_pkt"),
        _ratio(sent, sent + received).alias("orig_byte_share"),
        _ratio(sent + received, pl.col("duration_s")).alias("bytes_per_s"),
        _ratio(pl.col("orig_pkts") + pl.col("resp_pkts"), pl.col("duration_s")).alias("pkts_per_s"),
    ).join(_histories(connections), on="history", how="left", nulls_equal=True, maintain_order="left")


def _histories(connections: pl.DataFrame) -> pl.DataFrame:
    """Return what follows from each different history: there are few, and every letter is looked for in each."""
    return connections.select(pl.col("history").unique()).with_columns(
        pl.col("history").str.len_bytes().cast(pl.Int64).alias("history_length"),
        *(
            pl.col("history").str.contains(letter, literal=True).alias(name)
            for name, letter in HISTORY_FEATURES.items()
        ),
    )


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part.cast(pl.Float64) / whole.cast(pl.Float64))
