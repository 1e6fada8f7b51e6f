"""The program that meters a packet capture, alone in a process of its own: it may crash, hang or grow, and be killed.

It is started by `cybersec_mlops.ingestion.pcap_flows` as ``python -m cybersec_mlops.ingestion.pcap_meter FILE FD`` and
writes a line of tab-separated values for each connection to the file descriptor. NFStream (LGPL 3, an optional extra)
does the work: https://www.nfstream.org. It counts bytes of IP packets; payload, TCP flags and Zeek's ``history`` are
added here packet by packet.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final, TextIO

IDLE_TIMEOUT_S: Final = 120
ACTIVE_TIMEOUT_S: Final = 1_800
DISSECTED_PACKETS: Final = 20
"""From how many packets the application protocol is recognised (nDPI)."""
MEMORY_BYTES: Final = 8 << 30
FAILED: Final = 3
"""Exit code where the meter itself ended."""

_SIDES: Final = (("orig", "src2dst"), ("resp", "dst2src"), ("both", "bidirectional"))
_FLAGS: Final = ("cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin")
INTEGERS: Final[dict[str, str]] = {
    "start_ms": "bidirectional_first_seen_ms",
    "duration_ms": "bidirectional_duration_ms",
    "orig_p": "src_port",
    "resp_p": "dst_port",
    "protocol": "protocol",
    "guessed": "application_is_guessed",
    "orig_pkts": "src2dst_packets",
    "resp_pkts": "dst2src_packets",
    "orig_ip_bytes": "src2dst_bytes",
    "resp_ip_bytes": "dst2src_bytes",
    "meta_pcap_vlan": "vlan_id",
    **{f"pcap_{side}_{flag}_packets": f"{theirs}_{flag}_packets" for side, theirs in _SIDES[:2] for flag in _FLAGS},
}
"""Ours to NFStream's: whole numbers."""
NUMBERS: Final[dict[str, str]] = {
    **{
        f"pcap_{side}_packet_{what}_bytes": f"{theirs}_{what}_ps"
        for side, theirs in _SIDES
        for what in ("min", "mean", "stddev", "max")
    },
    **{
        f"pcap_{side}_gap_{what}_ms": f"{theirs}_{what}_piat_ms"
        for side, theirs in _SIDES
        for what in ("min", "mean", "stddev", "max")
    },
}
TEXTS: Final[dict[str, str]] = {
    "orig_h": "src_ip",
    "resp_h": "dst_ip",
    "application": "application_name",
    "pcap_category": "application_category_name",
}
ADDED: Final = ("orig_bytes", "resp_bytes", "flags", "flags_responder")
"""Whole numbers that are counted here."""
COLUMNS: Final = (*INTEGERS, *NUMBERS, *ADDED, *TEXTS, "history")
"""The values of a line, in order."""


class Tally:
    """What is counted of one connection, packet by packet."""

    __slots__ = ("bytes", "flags", "history", "seen")

    def __init__(self) -> None:
        self.bytes, self.flags, self.history, self.seen = [0, 0], [0, 0], "", set[str]()

    def add(self, packet: Any) -> None:
        """Count a packet: `direction` 0 is the originator's."""
        side = 1 if packet.direction else 0
        self.bytes[side] += packet.payload_size
        bits = 0
        for place, name in enumerate(reversed(_FLAGS)):
            bits |= bool(getattr(packet, name)) << place
        self.flags[side] |= bits
        for letter in letters_of(bits, packet.payload_size, packet.protocol):
            shown = letter if side else letter.upper()
            if shown not in self.seen:
                self.seen.add(shown)
                self.history += shown


def letters_of(flags: int, payload: int, protocol: int) -> Iterator[str]:
    """Give the letters of Zeek's ``history`` for a packet (Zeek manual, conn.log), in lower case.

    >>> "".join(letters_of(0x02, 0, 6)), "".join(letters_of(0x12, 0, 6)), "".join(letters_of(0x19, 8, 6))
    ('s', 'h', 'df')
    """
    if protocol == 6:
        syn, ack = flags & 0x02, flags & 0x10
        if syn:
            yield "h" if ack else "s"
        elif ack and not payload and not flags & 0x05:
            yield "a"
    if payload and protocol in (6, 17):
        yield "d"
    if protocol == 6:
        if flags & 0x01:
            yield "f"
        if flags & 0x04:
            yield "r"


def line_of(found: Any) -> str:
    """Return a connection as a line."""
    tally: Tally = found.udps.tally
    values = [getattr(found, theirs) for theirs in (*INTEGERS.values(), *NUMBERS.values())]
    values += [*tally.bytes, *tally.flags]
    values += [_plain(str(getattr(found, theirs))) for theirs in TEXTS.values()]
    return "\t".join(map(str, [*values, tally.history])) + "\n"


def _plain(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def meter(path: str, out: TextIO) -> None:
    """Write the connections of a capture, in the order in which they end."""
    from nfstream import NFPlugin, NFStreamer

    class Tallies(NFPlugin):  # type: ignore[misc]
        def on_init(self, packet: Any, found: Any) -> None:
            found.udps.tally = Tally()
            found.udps.tally.add(packet)

        def on_update(self, packet: Any, found: Any) -> None:
            found.udps.tally.add(packet)

    connections = NFStreamer(
        source=path,
        n_meters=1,
        accounting_mode=1,
        statistical_analysis=True,
        n_dissections=DISSECTED_PACKETS,
        idle_timeout=IDLE_TIMEOUT_S,
        active_timeout=ACTIVE_TIMEOUT_S,
        udps=Tallies(),
    )
    for found in connections:
        out.write(line_of(found))


def _watch() -> None:
    """End this process as soon as the process that NFStream meters in dies: NFStream itself would wait for ever."""
    while True:
        for child in multiprocessing.active_children():
            child.join(timeout=1.0)
            if child.exitcode:
                os.write(2, f"the process that meters ended with {child.exitcode}\n".encode())
                os._exit(FAILED)
        threading.Event().wait(0.2)


def main() -> None:
    """Meter the file of the first argument; write to the file descriptor of the second one."""
    import resource

    path, descriptor = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_watch, daemon=True).start()
    with os.fdopen(int(descriptor), "w", encoding="utf-8", buffering=1 << 20) as out:
        meter(path, out)


if __name__ == "__main__":
    main()
