"""The columns of CICFlowMeter's CSV: one name for each quantity, whatever its header says.

The tool and the data sets made with it name the same quantities in different words: CIC-IDS2017 in two forms,
CICFlowMeter 4 (also CSE-CIC-IDS2018), and the corrected CIC-IDS2017 of Liu, Engelen et al. (CNS 2022). Times are in
microseconds, lengths in bytes (payload, except header lengths), rates per second, as in the tool's
``ReadMe.txt`` (https://github.com/ahlashkari/CICFlowMeter).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

CANONICAL: Final[dict[str, tuple[str, ...]]] = {
    "orig_h": ("Src IP", "Source IP"),
    "orig_p": ("Src Port", "Source Port"),
    "resp_h": ("Dst IP", "Destination IP"),
    "resp_p": ("Dst Port", "Destination Port"),
    "proto": ("Protocol",),
    "ts": ("Timestamp",),
    "duration_s": ("Flow Duration",),
    "orig_pkts": ("Total Fwd Packet", "Total Fwd Packets", "Tot Fwd Pkts"),
    "resp_pkts": ("Total Bwd packets", "Total Backward Packets", "Tot Bwd Pkts"),
    "orig_bytes": ("Total Length of Fwd Packet", "Total Length of Fwd Packets", "TotLen Fwd Pkts"),
    "resp_bytes": ("Total Length of Bwd Packet", "Total Length of Bwd Packets", "TotLen Bwd Pkts"),
    "label_text": ("Label",),
    "meta_cic_id": ("id",),
    "meta_cic_flow_id": ("Flow ID",),
    "meta_cic_attempted_category": ("Attempted Category",),
}
"""Canonical connection columns, the label, and what is kept for reading only."""

MEASURES: Final[dict[str, tuple[str, ...]]] = {
    "cic_fwd_packet_length_max_bytes": ("Fwd Packet Length Max", "Fwd Pkt Len Max"),
    "cic_fwd_packet_length_min_bytes": ("Fwd Packet Length Min", "Fwd Pkt Len Min"),
    "cic_fwd_packet_length_mean_bytes": ("Fwd Packet Length Mean", "Fwd Pkt Len Mean"),
    "cic_fwd_packet_length_std_bytes": ("Fwd Packet Length Std", "Fwd Pkt Len Std"),
    "cic_bwd_packet_length_max_bytes": ("Bwd Packet Length Max", "Bwd Pkt Len Max"),
    "cic_bwd_packet_length_min_bytes": ("Bwd Packet Length Min", "Bwd Pkt Len Min"),
    "cic_bwd_packet_length_mean_bytes": ("Bwd Packet Length Mean", "Bwd Pkt Len Mean"),
    "cic_bwd_packet_length_std_bytes": ("Bwd Packet Length Std", "Bwd Pkt Len Std"),
    "cic_flow_bytes_per_s": ("Flow Bytes/s", "Flow Byts/s"),
    "cic_flow_packets_per_s": ("Flow Packets/s", "Flow Pkts/s"),
    "cic_flow_iat_mean_us": ("Flow IAT Mean",),
    "cic_flow_iat_std_us": ("Flow IAT Std",),
    "cic_flow_iat_max_us": ("Flow IAT Max",),
    "cic_flow_iat_min_us": ("Flow IAT Min",),
    "cic_fwd_iat_total_us": ("Fwd IAT Total", "Fwd IAT Tot"),
    "cic_fwd_iat_mean_us": ("Fwd IAT Mean",),
    "cic_fwd_iat_std_us": ("Fwd IAT Std",),
    "cic_fwd_iat_max_us": ("Fwd IAT Max",),
    "cic_fwd_iat_min_us": ("Fwd IAT Min",),
    "cic_bwd_iat_total_us": ("Bwd IAT Total", "Bwd IAT Tot"),
    "cic_bwd_iat_mean_us": ("Bwd IAT Mean",),
    "cic_bwd_iat_std_us": ("Bwd IAT Std",),
    "cic_bwd_iat_max_us": ("Bwd IAT Max",),
    "cic_bwd_iat_min_us": ("Bwd IAT Min",),
    "cic_fwd_psh_flags": ("Fwd PSH Flags",),
    "cic_bwd_psh_flags": ("Bwd PSH Flags",),
    "cic_fwd_urg_flags": ("Fwd URG Flags",),
    "cic_bwd_urg_flags": ("Bwd URG Flags",),
    "cic_fwd_header_length_bytes": ("Fwd Header Length", "Fwd Header Len"),
    "cic_bwd_header_length_bytes": ("Bwd Header Length", "Bwd Header Len"),
    "cic_fwd_packets_per_s": ("Fwd Packets/s", "Fwd Pkts/s"),
    "cic_bwd_packets_per_s": ("Bwd Packets/s", "Bwd Pkts/s"),
    "cic_packet_length_min_bytes": ("Packet Length Min", "Min Packet Length", "Pkt Len Min"),
    "cic_packet_length_max_bytes": ("Packet Length Max", "Max Packet Length", "Pkt Len Max"),
    "cic_packet_length_mean_bytes": ("Packet Length Mean", "Pkt Len Mean"),
    "cic_packet_length_std_bytes": ("Packet Length Std", "Pkt Len Std"),
    "cic_packet_length_variance_bytes2": ("Packet Length Variance", "Pkt Len Var"),
    "cic_fin_flag_count": ("FIN Flag Count", "FIN Flag Cnt"),
    "cic_syn_flag_count": ("SYN Flag Count", "SYN Flag Cnt"),
    "cic_rst_flag_count": ("RST Flag Count", "RST Flag Cnt"),
    "cic_psh_flag_count": ("PSH Flag Count", "PSH Flag Cnt"),
    "cic_ack_flag_count": ("ACK Flag Count", "ACK Flag Cnt"),
    "cic_urg_flag_count": ("URG Flag Count", "URG Flag Cnt"),
    "cic_cwr_flag_count": ("CWR Flag Count", "CWE Flag Count"),
    "cic_ece_flag_count": ("ECE Flag Count", "ECE Flag Cnt"),
    "cic_down_up_ratio": ("Down/Up Ratio",),
    "cic_packet_size_mean_bytes": ("Average Packet Size", "Pkt Size Avg"),
    "cic_fwd_segment_size_mean_bytes": ("Fwd Segment Size Avg", "Avg Fwd Segment Size", "Fwd Seg Size Avg"),
    "cic_bwd_segment_size_mean_bytes": ("Bwd Segment Size Avg", "Avg Bwd Segment Size", "Bwd Seg Size Avg"),
    "cic_fwd_bulk_mean_bytes": ("Fwd Bytes/Bulk Avg", "Fwd Avg Bytes/Bulk", "Fwd Byts/b Avg"),
    "cic_fwd_bulk_mean_packets": ("Fwd Packet/Bulk Avg", "Fwd Avg Packets/Bulk", "Fwd Pkts/b Avg"),
    "cic_fwd_bulk_bytes_per_s": ("Fwd Bulk Rate Avg", "Fwd Avg Bulk Rate", "Fwd Blk Rate Avg"),
    "cic_bwd_bulk_mean_bytes": ("Bwd Bytes/Bulk Avg", "Bwd Avg Bytes/Bulk", "Bwd Byts/b Avg"),
    "cic_bwd_bulk_mean_packets": ("Bwd Packet/Bulk Avg", "Bwd Avg Packets/Bulk", "Bwd Pkts/b Avg"),
    "cic_bwd_bulk_bytes_per_s": ("Bwd Bulk Rate Avg", "Bwd Avg Bulk Rate", "Bwd Blk Rate Avg"),
    "cic_subflow_fwd_packets": ("Subflow Fwd Packets", "Subflow Fwd Pkts"),
    "cic_subflow_fwd_bytes": ("Subflow Fwd Bytes", "Subflow Fwd Byts"),
    "cic_subflow_bwd_packets": ("Subflow Bwd Packets", "Subflow Bwd Pkts"),
    "cic_subflow_bwd_bytes": ("Subflow Bwd Bytes", "Subflow Bwd Byts"),
    "cic_fwd_init_window_bytes": ("FWD Init Win Bytes", "Init_Win_bytes_forward", "Init Fwd Win Byts"),
    "cic_bwd_init_window_bytes": ("Bwd Init Win Bytes", "Init_Win_bytes_backward", "Init Bwd Win Byts"),
    "cic_fwd_data_packets": ("Fwd Act Data Pkts", "act_data_pkt_fwd"),
    "cic_fwd_segment_size_min_bytes": ("Fwd Seg Size Min", "min_seg_size_forward"),
    "cic_active_mean_us": ("Active Mean",),
    "cic_active_std_us": ("Active Std",),
    "cic_active_max_us": ("Active Max",),
    "cic_active_min_us": ("Active Min",),
    "cic_idle_mean_us": ("Idle Mean",),
    "cic_idle_std_us": ("Idle Std",),
    "cic_idle_max_us": ("Idle Max",),
    "cic_idle_min_us": ("Idle Min",),
}
"""What every variant measures. None of it can be negative or infinite: such a value is "not known" and becomes null."""

MEASURES_OF_IMPROVED: Final[dict[str, tuple[str, ...]]] = {
    "cic_fwd_rst_flags": ("Fwd RST Flags",),
    "cic_bwd_rst_flags": ("Bwd RST Flags",),
    "cic_icmp_code": ("ICMP Code",),
    "cic_icmp_type": ("ICMP Type",),
    "cic_tcp_time_us": ("Total TCP Flow Time",),
}
"""What only the corrected data set measures."""

REQUIRED: Final = ("resp_p", "duration_s", "orig_pkts", "resp_pkts", "orig_bytes", "resp_bytes", *MEASURES)
"""What every variant has."""

_TARGETS: Final = {
    name.casefold(): target
    for table in (CANONICAL, MEASURES, MEASURES_OF_IMPROVED)
    for target, names in table.items()
    for name in names
}


@lru_cache(maxsize=4096)
def target_of(name: str) -> str | None:
    """Return the column that a name in a header becomes, None where it is not known.

    >>> target_of(" Init_Win_bytes_forward"), target_of("Tot Fwd Pkts"), target_of("colour")
    ('cic_fwd_init_window_bytes', 'orig_pkts', None)
    """
    return _TARGETS.get(" ".join(name.split()).casefold())


def variant_of(names: Sequence[str]) -> str:
    """Return which of the publishers' headers this is most like."""
    folded = {" ".join(name.split()).casefold() for name in names}
    if "attempted category" in folded or "total tcp flow time" in folded:
        return "cic2017-improved"
    if "tot fwd pkts" in folded:
        return "cicflowmeter-4" if "src ip" in folded else "cic2018"
    return "cic2017-flows" if "source ip" in folded else "cic2017-ml"
