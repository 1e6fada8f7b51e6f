"""Connections as rows of CICFlowMeter's table, in the columns of the corrected CIC-IDS2017 (Liu et al., CNS 2022).

A conn.log knows no single packets, so the statistics of packet lengths and gaps are made up to be consistent with the
counts, bytes and duration: minimum <= mean <= maximum, totals add up, a rate is a count over a time. They are for load
tests and benchmarks; whoever wants to learn about packets needs real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

_HEADER: Final = (
    "id,Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Total Fwd Packet,Total Bwd packets,"
    "Total Length of Fwd Packet,Total Length of Bwd Packet,Fwd Packet Length Max,Fwd Packet Length Min,"
    "Fwd Packet Length Mean,Fwd Packet Length Std,Bwd Packet Length Max,Bwd Packet Length Min,Bwd Packet Length Mean,"
    "Bwd Packet Length Std,Flow Bytes/s,Flow Packets/s,Flow IAT Mean,Flow IAT Std,Flow IAT Max,Flow IAT Min,"
    "Fwd IAT Total,Fwd IAT Mean,Fwd IAT Std,Fwd IAT Max,Fwd IAT Min,Bwd IAT Total,Bwd IAT Mean,Bwd IAT Std,Bwd IAT Max,"
    "Bwd IAT Min,Fwd PSH Flags,Bwd PSH Flags,Fwd URG Flags,Bwd URG Flags,Fwd RST Flags,Bwd RST Flags,"
    "Fwd Header Length,Bwd Header Length,Fwd Packets/s,Bwd Packets/s,Packet Length Min,Packet Length Max,"
    "Packet Length Mean,Packet Length Std,Packet Length Variance,FIN Flag Count,SYN Flag Count,RST Flag Count,"
    "PSH Flag Count,ACK Flag Count,URG Flag Count,CWR Flag Count,ECE Flag Count,Down/Up Ratio,Average Packet Size,"
    "Fwd Segment Size Avg,Bwd Segment Size Avg,Fwd Bytes/Bulk Avg,Fwd Packet/Bulk Avg,Fwd Bulk Rate Avg,"
    "Bwd Bytes/Bulk Avg,Bwd Packet/Bulk Avg,Bwd Bulk Rate Avg,Subflow Fwd Packets,Subflow Fwd Bytes,"
    "Subflow Bwd Packets,Subflow Bwd Bytes,FWD Init Win Bytes,Bwd Init Win Bytes,Fwd Act Data Pkts,Fwd Seg Size Min,"
    "Active Mean,Active Std,Active Max,Active Min,Idle Mean,Idle Std,Idle Max,Idle Min,ICMP Code,ICMP Type,"
    "Total TCP Flow Time,Label,Attempted Category"
)
CIC_COLUMNS: Final = tuple(_HEADER.split(","))
"""The header, in its order."""

_NUMBERS: Final = {"tcp": 6, "udp": 17, "icmp": 1}
_IDLE_US: Final = 5_000_000
"""A pause of this length ends an active stretch (CICFlowMeter's activity timeout)."""


def cic_rows(rows: pl.DataFrame, *, labelled: bool) -> pl.DataFrame:
    """Give the columns of `CIC_COLUMNS` except ``id``.

    Parameters
    ----------
    rows : polars.DataFrame
        Columns of `TRAFFIC_SCHEMA`.
    labelled : bool
        Write the kind of attack or BENIGN; otherwise CICFlowMeter's "NeedManualLabel".
    """
    base = rows.select(*_identity(labelled), *_basics())
    for side in ("Fwd", "Bwd"):
        base = base.with_columns(_lengths(side)).with_columns(_gaps(side))
    base = base.with_columns(_both_lengths()).with_columns(_flow())
    return base.with_columns(_constants())


def _identity(labelled: bool) -> Iterator[pl.Expr]:
    number = pl.col("proto").replace_strict(_NUMBERS, return_dtype=pl.Int64)
    yield number.alias("Protocol")
    parts = [pl.col("orig_h"), pl.col("resp_h"), pl.col("orig_p"), pl.col("resp_p"), number]
    yield pl.concat_str(parts, separator="-").alias("Flow ID")
    yield pl.col("orig_h").alias("Src IP")
    yield pl.when(pl.col("proto") == "icmp").then(0).otherwise("orig_p").alias("Src Port")
    yield pl.col("resp_h").alias("Dst IP")
    yield pl.when(pl.col("proto") == "icmp").then(0).otherwise("resp_p").alias("Dst Port")
    yield pl.col("ts").dt.strftime("%Y-%m-%d %H:%M:%S%.6f").alias("Timestamp")
    icmp = pl.col("proto") == "icmp"
    yield pl.when(icmp).then("resp_p").otherwise(-1).alias("ICMP Code")
    yield pl.when(icmp).then("orig_p").otherwise(-1).alias("ICMP Type")
    label = pl.col("attack").fill_null("BENIGN") if labelled else pl.lit("NeedManualLabel")
    yield label.alias("Label")


def _basics() -> Iterator[pl.Expr]:
    """Counts and times as CICFlowMeter has them: it knows no unset, and headers without IP's."""
    tcp, history = pl.col("proto") == "tcp", pl.col("history").fill_null("")
    packets = pl.col("orig_pkts") + pl.col("resp_pkts")
    acks = (packets - history.str.contains("S", literal=True)).clip(0)
    yield (pl.col("duration_s").fill_null(0.0) * 1e6).round().cast(pl.Int64).alias("Flow Duration")
    yield history.str.count_matches("[Ff]").alias("FIN Flag Count")
    yield history.str.count_matches("[Sh]").alias("SYN Flag Count")
    yield history.str.count_matches("[Rr]").alias("RST Flag Count")
    yield pl.when(tcp).then(acks).otherwise(0).alias("ACK Flag Count")
    yield pl.when(tcp).then(20).otherwise(8).alias("Fwd Seg Size Min")
    window = pl.when(pl.col("orig_p") > 49151).then(64240).otherwise(65535)
    for name, opens, size in (("FWD", "S", window), ("Bwd", "h", pl.lit(65160))):
        opened = tcp & history.str.contains(opens, literal=True)
        yield pl.when(opened).then(size).otherwise(0).alias(f"{name} Init Win Bytes")
    yield from _one_way("Fwd", "orig", "Total Fwd Packet", history.str.count_matches("R"))
    yield from _one_way("Bwd", "resp", "Total Bwd packets", history.str.count_matches("r"))


def _one_way(side: str, own: str, packets_name: str, resets: pl.Expr) -> Iterator[pl.Expr]:
    """What one side sent; payload that Zeek left unset follows from the IP bytes."""
    tcp, packets = pl.col("proto") == "tcp", pl.col(f"{own}_pkts")
    ip_header = pl.when(pl.col("orig_h").str.contains(":", literal=True)).then(40).otherwise(20)
    payload = (pl.col(f"{own}_ip_bytes") - packets * (ip_header + 8)).clip(0)
    total = pl.coalesce(pl.col(f"{own}_bytes"), pl.when(tcp).then(0).otherwise(payload))
    segments = -(-total // 1448)
    yield packets.alias(packets_name)
    yield total.alias(f"Total Length of {side} Packet")
    yield (packets * pl.when(tcp).then(20).otherwise(8)).alias(f"{side} Header Length")
    yield pl.when(tcp).then(segments).otherwise(0).alias(f"{side} PSH Flags")
    yield resets.alias(f"{side} RST Flags")
    if side == "Fwd":
        yield segments.alias("Fwd Act Data Pkts")


def _names(side: str) -> tuple[pl.Expr, pl.Expr]:
    packets = pl.col("Total Fwd Packet" if side == "Fwd" else "Total Bwd packets")
    return packets, pl.col(f"Total Length of {side} Packet")


def _ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    return pl.when(below > 0).then(above / below).otherwise(0.0)


def _lengths(side: str) -> Iterator[pl.Expr]:
    packets, total = _names(side)
    mean = _ratio(total, packets)
    bare = (pl.col("Protocol") == 6) & (packets > pl.col(f"{side} PSH Flags"))
    largest = pl.min_horizontal(total, pl.max_horizontal(pl.lit(1448), mean.ceil().cast(pl.Int64)))
    largest = pl.when(bare | (packets > 1)).then(largest).otherwise(total)
    smallest = pl.when(bare | (total == 0)).then(0).otherwise((mean * 0.8).floor().cast(pl.Int64))
    smallest = pl.when(packets == 1).then(total).otherwise(smallest)
    yield largest.alias(f"{side} Packet Length Max")
    yield smallest.alias(f"{side} Packet Length Min")
    yield mean.alias(f"{side} Packet Length Mean")
    yield ((largest - mean).clip(0) * (mean - smallest).clip(0)).sqrt().alias(f"{side} Packet Length Std")
    yield mean.alias(f"{side} Segment Size Avg")
    yield packets.clip(0, 1).cast(pl.Int64).alias(f"Subflow {side} Packets")
    yield mean.cast(pl.Int64).alias(f"Subflow {side} Bytes")
    bulk = pl.col(f"{side} PSH Flags") >= 4
    yield pl.when(bulk).then(total).otherwise(0).alias(f"{side} Bytes/Bulk Avg")
    yield pl.when(bulk).then(f"{side} PSH Flags").otherwise(0).alias(f"{side} Packet/Bulk Avg")
    rate = _ratio(total * 1e6, pl.col("Flow Duration")).cast(pl.Int64)
    yield pl.when(bulk).then(rate).otherwise(0).alias(f"{side} Bulk Rate Avg")
    yield _ratio(packets * 1e6, pl.col("Flow Duration")).alias(f"{side} Packets/s")


def _gaps(side: str) -> Iterator[pl.Expr]:
    packets, _ = _names(side)
    yield from _gap_columns(f"{side} IAT", packets)
    yield pl.when(packets > 1).then("Flow Duration").otherwise(0).alias(f"{side} IAT Total")


def _gap_columns(name: str, packets: pl.Expr) -> Iterator[pl.Expr]:
    """One long pause and many short ones, as a connection that waits has them."""
    duration, gaps = pl.col("Flow Duration"), packets - 1
    mean = pl.when(gaps > 0).then(_ratio(duration, gaps)).otherwise(0.0)
    longest = pl.when(gaps > 1).then((duration * 0.7).cast(pl.Int64)).when(gaps == 1).then(duration).otherwise(0)
    longest = pl.max_horizontal(longest, mean.ceil().cast(pl.Int64))
    shortest = pl.when(gaps > 1).then((mean * 0.05).cast(pl.Int64)).otherwise(longest)
    yield mean.alias(f"{name} Mean")
    yield longest.alias(f"{name} Max")
    yield shortest.alias(f"{name} Min")
    yield ((longest - mean).clip(0) * (mean - shortest).clip(0)).sqrt().alias(f"{name} Std")


def _both_lengths() -> Iterator[pl.Expr]:
    packets = pl.col("Total Fwd Packet") + pl.col("Total Bwd packets")
    total = pl.col("Total Length of Fwd Packet") + pl.col("Total Length of Bwd Packet")
    answered = pl.col("Total Bwd packets") > 0
    smallest = pl.min_horizontal("Fwd Packet Length Min", "Bwd Packet Length Min")
    yield pl.max_horizontal("Fwd Packet Length Max", "Bwd Packet Length Max").alias("Packet Length Max")
    yield pl.when(answered).then(smallest).otherwise("Fwd Packet Length Min").alias("Packet Length Min")
    yield _ratio(total, packets).alias("Packet Length Mean")
    yield (pl.col("Fwd PSH Flags") + pl.col("Bwd PSH Flags")).alias("PSH Flag Count")
    yield _ratio(total * 1e6, pl.col("Flow Duration")).alias("Flow Bytes/s")
    yield _ratio(packets * 1e6, pl.col("Flow Duration")).alias("Flow Packets/s")
    yield _ratio(pl.col("Total Bwd packets") * 1.0, pl.col("Total Fwd Packet")).alias("Down/Up Ratio")
    yield from _gap_columns("Flow IAT", packets)


def _flow() -> Iterator[pl.Expr]:
    mean, longest = pl.col("Packet Length Mean"), pl.col("Packet Length Max")
    variance = (longest - mean).clip(0) * (mean - pl.col("Packet Length Min")).clip(0)
    yield variance.alias("Packet Length Variance")
    yield variance.sqrt().alias("Packet Length Std")
    yield mean.alias("Average Packet Size")
    pause = pl.col("Flow IAT Max")
    idle = pl.when(pause > _IDLE_US).then(pause).otherwise(0)
    active = pl.when(pause > _IDLE_US).then(pl.col("Flow Duration") - pause).otherwise(0)
    for name, value in (("Idle", idle), ("Active", active)):
        yield (value * 1.0).alias(f"{name} Mean")
        yield value.alias(f"{name} Max")
        yield value.alias(f"{name} Min")
    yield pl.when(pl.col("Protocol") == 6).then("Flow Duration").otherwise(0).alias("Total TCP Flow Time")


def _constants() -> Iterator[pl.Expr]:
    for name in ("Fwd URG Flags", "Bwd URG Flags", "URG Flag Count", "CWR Flag Count", "ECE Flag Count"):
        yield pl.lit(0).alias(name)
    for name in ("Idle Std", "Active Std"):
        yield pl.lit(0.0).alias(name)
    yield pl.lit(-1).alias("Attempted Category")
