"""The table of readers: one entry for each log format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.argus import Argus
from cybersec_mlops.ingestion.cicflowmeter import CICFlowMeter
from cybersec_mlops.ingestion.kdd import KDD99, NSLKDD
from cybersec_mlops.ingestion.mapped import Canonical, Mapped
from cybersec_mlops.ingestion.netflow import NetFlow
from cybersec_mlops.ingestion.nf_tables import NFTables
from cybersec_mlops.ingestion.nfdump import Nfdump
from cybersec_mlops.ingestion.pcap_flows import PacketCapture
from cybersec_mlops.ingestion.plugins import PluginReader, load_plugins
from cybersec_mlops.ingestion.reader import Reader
from cybersec_mlops.ingestion.suricata_eve import SuricataEVE
from cybersec_mlops.ingestion.unsw_nb15 import UNSWNB15
from cybersec_mlops.ingestion.unsw_nb15_raw import UNSWNB15Raw
from cybersec_mlops.ingestion.vpc_flow import VPCFlow
from cybersec_mlops.ingestion.zeek_conn import ZeekConn

READERS: Final[dict[str, Reader]] = {
    reader.name: reader
    for reader in (
        *(ZeekConn(), Canonical(), SuricataEVE(), Argus(), Nfdump(), VPCFlow(), NetFlow(), PacketCapture()),
        *(CICFlowMeter(), NSLKDD(), KDD99(), UNSWNB15Raw(), UNSWNB15(), NFTables()),
    )
}
"""Format name to reader, in the order in which they are asked."""

SHARING: Final = frozenset({NetFlow.name})
"""Formats whose files may need what the run's other files of the format say."""


@cache
def all_readers() -> dict[str, Reader]:
    """Return the readers of this package and those of plug-ins, which are asked last.

    Raises
    ------
    ConfigError
        Two have one name.
    """
    return {**READERS, **load_plugins(READERS)}


def reader_of(
    format_name: str, *, timezone: str = "UTC", mappings: Sequence[Reader] = (), shared: tuple[bytes, ...] = ()
) -> Reader:
    """Return the reader of a format.

    Parameters
    ----------
    format_name : str
        A key of `READERS`, the name of a mapping or of a plug-in's format.
    timezone : str
        IANA zone of times that do not say theirs (CICFlowMeter's, Argus's, some of Suricata's and Zeek's).
    mappings : sequence of Reader
        Formats that mapping files make.
    shared : tuple of bytes
        What the run's other files of this format say that this one may need (`Recognition.shared`).

    Raises
    ------
    ConfigError
        There is no such format.
    """
    known: dict[str, Reader] = {**READERS, **{reader.name: reader for reader in mappings}}
    reader = known.get(format_name) or all_readers().get(format_name)
    if reader is None:
        raise ConfigError(
            f"unknown format {format_name!r}", hint=f"known formats: {', '.join({**known, **all_readers()})}"
        )
    if isinstance(reader, NetFlow):
        return replace(reader, shared=shared)
    if isinstance(reader, PluginReader):
        return reader.in_zone(timezone)
    if isinstance(reader, ZeekConn | CICFlowMeter | SuricataEVE | Argus | Nfdump | Mapped):
        return replace(reader, timezone=timezone)
    return reader
