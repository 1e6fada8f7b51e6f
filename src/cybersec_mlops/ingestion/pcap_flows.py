"""The reader of packet captures, pcap and pcapng, through the flow meter NFStream.

Source: https://www.nfstream.org (LGPL 3; the optional extra ``pcap``), https://www.ntop.org/products/deep-packet-inspection/ndpi.
What it copes with, and how:

- the meter runs in a process of its own with limits of time and memory, so that a capture that makes libpcap or the
  meter crash or hang ends in an error of this file and not of the run;
- the meter passes over a capture that is cut off, and packets that are no IP, without a word: the capture is walked
  through here as well; where it is damaged is a rejected row, packets of no connection are counted;
- a connection ends with 120 s without a packet and is cut after 1,800 s; the sender of its first packet is the
  originator; ``raw_line`` is its number in the order in which the meter ends them, from 1;
- ``conn_state`` and ``history`` are Zeek's, from the flags of both sides; the application is nDPI's, and null where it
  is only a guess from the port.
"""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion.captures import DamagedCaptureError, is_capture, read_packets
from cybersec_mlops.ingestion.connection_rules import in_seconds
from cybersec_mlops.ingestion.lines import Lines, read_lines
from cybersec_mlops.ingestion.netflow import is_export
from cybersec_mlops.ingestion.netflow_records import conn_state
from cybersec_mlops.ingestion.pcap_meter import (
    ADDED,
    COLUMNS,
    INTEGERS,
    NUMBERS,
)
from cybersec_mlops.ingestion.protocols import ICMP, keyword
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.rejected import Rejected, printable
from cybersec_mlops.ingestion.scratch import scratch
from cybersec_mlops.ingestion.screening import conform

NAME: Final = "pcap"
LINKS: Final = frozenset({0, 1, 12, 14, 101, 105, 113, 127, 228, 229})
"""Link types that the meter reads (https://www.tcpdump.org/linktypes.html)."""
BASE_SECONDS: Final = 300
BYTES_PER_SECOND: Final = 200_000
"""The meter may take `BASE_SECONDS` and a second for each so many bytes; it does ten to a hundred times as many."""
_OTHER_WAY: Final = "or run Zeek over it (zeek -r FILE) and give the conn.log"
_INSTALL: Final = "pip install 'cybersec-mlops-pipeline[pcap]'"
_NATIVE: Final[dict[str, pl.DataType]] = {
    "pcap_category": pl.String(),
    **{name: pl.Float64() for name in INTEGERS if name.startswith("pcap_")},
    **{name: pl.Float64() for name in NUMBERS},
    "meta_pcap_vlan": pl.Float64(),
}
_SCHEMA: Final[dict[str, pl.DataType]] = {
    name: pl.Int64() if name in INTEGERS or name in ADDED else pl.Float64() if name in NUMBERS else pl.String()
    for name in COLUMNS
}
_PROTOCOLS: Final = {number: keyword(number) for number in range(256)}
_WITH_PORTS: Final = ("tcp", "udp")
_WITH_PAYLOAD: Final = (*_WITH_PORTS, *ICMP)
"""Protocols whose headers the meter reads: of others (SCTP, GRE, ...) it gives 0 for ports and payload, seen or not."""


def installed() -> bool:
    """Say whether the meter is there."""
    return importlib.util.find_spec("nfstream") is not None


class PacketCapture:
    """Captures of traffic."""

    name = NAME
    has_time = True

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """Sizes of packets, gaps between them and flags of each side; the category of the application."""
        return _NATIVE

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """None is known."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the first bytes of a capture that is none of export datagrams."""
        if not is_capture(head.data) or is_export(head.data):
            return None
        if not installed():
            return Refusal(
                "a packet capture (pcap), which needs the flow meter NFStream", hint=f"{_INSTALL}, {_OTHER_WAY}",
                passable=True,
            )  # fmt: skip
        links, damage = set[int](), ""
        try:
            links = {packet.link for packet in islice(read_packets(io.BytesIO(head.data)), 10_000)}
        except DamagedCaptureError as error:
            damage = str(error)
        if head.complete and not links:
            problem = f"that cannot be read: {damage}" if damage else "without packets"
            return Refusal(f"a packet capture {problem}", hint="capture it again", passable=not damage)
        if links and not links & LINKS:
            shown = ", ".join(map(str, sorted(links)))
            return Refusal(
                f"a packet capture of the link type {shown}, which the meter does not read", hint=_OTHER_WAY[3:]
            )
        variant = "pcapng" if head.data.startswith(b"\x0a\x0d\x0d\x0a") else "pcap"
        return Recognition(
            NAME, variant, has_time=True, notes=("metered by NFStream; raw_line is a connection's number",)
        )

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Meter a capture; see `Reader.read`.

        Raises
        ------
        ConfigError
            The meter is not installed.
        DataError
            The meter failed on it, took too long or too much memory.
        """
        if not installed():
            raise ConfigError("packet captures need the flow meter NFStream", hint=f"{_INSTALL}, {_OTHER_WAY}")
        schema, metered = batch_schema(self), 0
        with tempfile.TemporaryDirectory(prefix="cybersec-mlops-pcap-", dir=scratch()) as folder:
            path = Path(folder) / "capture"
            copied, number, rejected = _copy(stream, path), 0, Rejected()
            if copied.packets:
                with _metering(path, source) as lines:
                    for block in read_lines(lines, batch_bytes=batch_bytes):
                        rows = _rows(block)
                        number += rows.height
                        metered += int(rows["orig_pkts"].sum()) + int(rows["resp_pkts"].sum())
                        yield Batch(conform(rows, schema), Rejected().frame())
            if copied.damage:
                rejected.add_bytes(number + 1, b"", "damaged_capture", detail=copied.damage)
            skipped = {"packet_of_no_connection": copied.packets - metered} if copied.packets > metered else {}
            last = Batch(pl.DataFrame(schema=schema), rejected.frame(), skipped)
            if last.read:
                yield last


class _Copying(io.RawIOBase):
    """A stream that is written to a file as it is read."""

    def __init__(self, stream: BinaryIO, copy: BinaryIO) -> None:
        super().__init__()
        self._stream, self._copy = stream, copy

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        self._copy.write(data)
        buffer[: len(data)] = data
        return len(data)


@dataclass(frozen=True, slots=True)
class _Copied:
    """What a capture holds, and what is wrong with it."""

    packets: int
    damage: str = ""


def _copy(stream: BinaryIO, path: Path) -> _Copied:
    """Write a capture to a file, for the meter, as far as it is sound; count its packets."""
    packets = 0
    with path.open("w+b") as copy:
        try:
            for _ in read_packets(io.BufferedReader(_Copying(stream, copy), 1 << 20)):
                packets += 1
        except DamagedCaptureError as error:
            if copy.tell():
                copy.truncate(error.offset)
                return _Copied(packets, f"at byte {error.offset + 1}: {error}")
    return _Copied(packets)


@contextmanager
def _metering(path: Path, source: str) -> Iterator[BinaryIO]:
    """Start the meter and give what it writes; it is killed when its time is over or nobody reads on."""
    reading, writing = os.pipe()
    limit = BASE_SECONDS + path.stat().st_size // BYTES_PER_SECOND
    late = threading.Event()
    said = path.with_name("said")
    with said.open("wb") as errors, os.fdopen(reading, "rb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cybersec_mlops.ingestion.pcap_meter", str(path), str(writing)],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=path.parent,
            env=_environment(), pass_fds=(writing,), start_new_session=True,
        )  # fmt: skip
        os.close(writing)
        timer = threading.Timer(limit, _end, (process, late))
        timer.daemon = True
        timer.start()
        try:
            yield lines
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
    if late.is_set():
        raise DataError(
            f"a capture that the meter had not read after {limit} s", source=source,
            hint="cut it into pieces (editcap -i 3600 FILE PIECE.pcap), or run Zeek over it (zeek -r FILE)",
        )  # fmt: skip
    if code:
        why = f"ended by signal {-code}" if code < 0 else _last_line(said)
        raise DataError(
            f"a capture that the meter cannot read: {why}", source=source,
            hint="run Zeek over it (zeek -r FILE) and give the conn.log, or capture it again",
        )  # fmt: skip


def _environment() -> dict[str, str]:
    """Return what a process needs to find its modules, and no secret."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {**found, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the meter and the processes that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill(process)


def _last_line(path: Path) -> str:
    lines = path.read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
    return printable(lines[-1] if lines else "it says nothing", 200)


def _rows(lines: Lines) -> pl.DataFrame:
    frame = pl.read_csv(lines.data, separator="\t", has_header=False, quote_char=None, schema=_SCHEMA)
    proto = pl.col("protocol").replace_strict(_PROTOCOLS, default=None, return_dtype=pl.String())
    service = pl.col("application").str.split(".").list.first().str.to_lowercase()
    known = (pl.col("guessed") == 0) & (service != "unknown")
    frame = frame.with_columns(
        lines.numbers().alias("raw_line"),
        (pl.col("start_ms") * 1_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("ts"),
        in_seconds(pl.col("duration_ms"), 1e3).alias("duration_s"),
        proto.alias("proto"),
        pl.when(known).then(service).alias("service"),
        pl.lit(value=True).alias("two_ways_pkts"),
        pl.lit(value=True).alias("two_ways_ip_bytes"),
        pl.lit(None, pl.Int64()).alias("firewall_event"),
    )
    return frame.with_columns(
        conn_state().alias("conn_state"),
        *(pl.when(pl.col("proto").is_in(_WITH_PORTS)).then(pl.col(name)) for name in ("orig_p", "resp_p")),
        *(pl.when(pl.col("proto").is_in(_WITH_PAYLOAD)).then(pl.col(name)) for name in ("orig_bytes", "resp_bytes")),
        *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("history", "pcap_category")),
        pl.when(pl.col("meta_pcap_vlan") > 0).then(pl.col("meta_pcap_vlan")),
        *_measured(),
    )


def _measured() -> Iterator[pl.Expr]:
    """Set to null what the meter writes as 0 because there was nothing to measure."""
    packets = {"orig": pl.col("orig_pkts"), "resp": pl.col("resp_pkts")}
    packets["both"] = packets["orig"] + packets["resp"]
    for name in NUMBERS:
        needed = 2 if "_gap_" in name else 1
        yield pl.when(packets[name.split("_")[1]] >= needed).then(pl.col(name))
    for name in INTEGERS:
        if name.startswith("pcap_"):
            yield pl.when(pl.col("proto") == "tcp").then(pl.col(name))
