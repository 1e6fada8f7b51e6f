"""The reader of NetFlow v5, v9 and IPFIX: export datagrams one after the other, or in a packet capture.

Source: Cisco's v5 layout, RFC 3954 (v9), RFC 7011 and 7012 (IPFIX), RFC 5103 (both directions), Cisco's ASA NSEL guide.
What it copes with, and how:

- ``raw_line`` is the place of the record's first byte in the decompressed file, from 1;
- a template counts for its exporter (in a capture), version and source id. Sets that come before their template wait
  for it, in bounded memory; those that never get one are rejected, one row for a set (``no_template``). Templates of
  the run's other files are used where the file has none and just one of them fits;
- records of options, and those whose template has no hosts (counters of interfaces, for one), are passed over and
  counted; the exporter's start and its sampling are taken from them;
- a firewall's event that a connection was created, without counters, or what it sent so far (NSEL's update) is passed
  over and counted: the connection is told again, with all its counters, when it ends;
- times relative to the exporter's start become UTC, also where its 32-bit counter wrapped; a record without any time
  has that of its export, and one of IPFIX whose exporter does not say when it started ended when it was sent;
- a record is one direction of a connection, and the responder's counters are null, unless it has those of both (RFC
  5103, NSEL's initiator and responder, v9's IN_* beside OUT_*). Bytes are those of whole IP packets;
- counters are as they were sent: sampling is noted in a column and not multiplied with;
- lengths that cannot be, sets and datagrams that are cut off, numbers beyond 63 bits: rejected, the rest is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.ingestion.captures import DamagedCaptureError, is_capture, read_packets, udp_payload
from cybersec_mlops.ingestion.netflow_datagrams import (
    VERSIONS,
    Datagram,
    Header,
    looks_like_one,
    read_datagrams,
    read_header,
    sets_of,
)
from cybersec_mlops.ingestion.netflow_decoder import TEMPLATE_SETS, Decoder
from cybersec_mlops.ingestion.netflow_records import NATIVE
from cybersec_mlops.ingestion.netflow_templates import Template
from cybersec_mlops.ingestion.reader import BATCH_BYTES, HEAD_BYTES, Batch, Head, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.sources import stream_of

NAME: Final = "netflow"
PACKETS_LOOKED_AT: Final = 200
"""From which a capture of export datagrams is told from one of ordinary traffic."""
SHARED_BYTES: Final = 64 << 10
"""How much of a file's templates is kept for the other files of a run."""
ROW_BYTES: Final = 400
"""What a record takes as columns, about: a batch has so many rows that they fit into its bytes."""
_ONE_WAY: Final = "a record is one direction of a connection unless it has counters of both"


@dataclass(frozen=True, slots=True)
class NetFlow:
    """NetFlow v5, v9 and IPFIX.

    Parameters
    ----------
    shared : tuple of bytes
        Datagrams with the templates of other files, as `Recognition.shared` has them.
    """

    shared: tuple[bytes, ...] = ()
    name = NAME
    has_time = True

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """What a record says beside the canonical columns."""
        return NATIVE

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """None is known."""
        return {}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise datagrams at the beginning, or a capture of which most packets are some."""
        captured = is_capture(head.data)
        if captured and not is_export(head.data):
            return None
        if not captured and not looks_like_one(head.data[:64]):
            return None
        decoder, shared, versions = Decoder(), dict[bytes, None](), set[int]()
        for datagram in _datagrams(io.BytesIO(head.data), decoder):
            if (header := read_header(datagram.data)) is not None and not datagram.damage:
                versions.add(header.version)
                decoder.add(datagram)
                _share(datagram, header, shared)
        variant = "+".join(VERSIONS[version] for version in sorted(versions))
        notes = [_ONE_WAY]
        if head.complete and not decoder.groups:
            notes = ["its templates are not in the file: they are taken from the other files of the run"]
            if not decoder.waiting:
                notes = ["holds templates only, no records"]
        variant += " in a capture" * captured
        return Recognition(NAME, variant, has_time=True, notes=tuple(notes), shared=tuple(shared))

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read datagrams; see `Reader.read`."""
        del source  # the format has no error of its own
        schema, decoder = batch_schema(self), Decoder(_templates_of(self.shared))
        for datagram in _datagrams(stream, decoder):
            decoder.add(datagram)
            if decoder.group_rows * ROW_BYTES >= batch_bytes and (batch := decoder.take(schema)).read:
                yield batch
        if (batch := decoder.take(schema)).read:
            yield batch
        decoder.finish()
        if (batch := decoder.take(schema)).read:
            yield batch


def _datagrams(stream: BinaryIO, decoder: Decoder) -> Iterator[Datagram]:
    """Give the datagrams of a file; packets of a capture that carry none are counted."""
    beginning = stream.read(4)
    whole = stream_of(chain([beginning], iter(lambda: stream.read(HEAD_BYTES), b"")))
    if not is_capture(beginning):
        yield from read_datagrams(whole)
        return
    try:
        for packet in read_packets(whole):
            payload = udp_payload(packet)
            if payload is None or not looks_like_one(payload.data[:64]):
                decoder.skipped["other_packet"] += 1
            else:
                yield Datagram(payload.offset, payload.data, payload.sender)
    except DamagedCaptureError as error:
        decoder.reject(error.offset, b"", "damaged_capture", str(error))


def is_export(data: bytes) -> bool:
    """Say whether most of the first packets of a capture are export datagrams."""
    total, exports = 0, 0
    try:
        for packet in islice(read_packets(io.BytesIO(data)), PACKETS_LOOKED_AT):
            total += 1
            payload = udp_payload(packet)
            exports += payload is not None and looks_like_one(payload.data[:64])
    except DamagedCaptureError:
        pass  # the beginning of a file ends anywhere
    return exports * 2 > total


def _share(datagram: Datagram, header: Header, shared: dict[bytes, None]) -> None:
    """Keep each set of templates of a datagram once, as a datagram of its own without time and sequence."""
    for number, begin, end, damage in sets_of(datagram.data, header) if header.version != 5 else ():
        if number in TEMPLATE_SETS[header.version] and not damage:
            body = datagram.data[begin - 4 : end]
            length = header.bytes + len(body) if header.version == 10 else 1
            beginning = header.version.to_bytes(2, "big") + length.to_bytes(2, "big")
            alone = beginning + bytes(header.bytes - 8) + header.source.to_bytes(4, "big") + body
            if sum(map(len, shared)) + len(alone) <= SHARED_BYTES:
                shared[alone] = None


def _templates_of(shared: tuple[bytes, ...]) -> dict[tuple[int, int, int], tuple[Template, ...]]:
    """Return the different templates of other files, by version, source id and number."""
    found: dict[tuple[int, int, int], dict[tuple[object, ...], Template]] = {}
    for data in shared:
        decoder = Decoder()
        decoder.add(Datagram(0, data))
        for (source, number), template in decoder.templates.items():
            found.setdefault((*source[1:], number), {})[template.fields, template.lengths] = template
    return {key: tuple(templates.values()) for key, templates in found.items()}
