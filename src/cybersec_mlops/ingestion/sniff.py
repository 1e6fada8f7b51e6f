"""Which format a file is of, from its content alone; and where it is none, what it looks like.

Every reader is asked; nothing in here knows a format in detail.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO, Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import parquet
from cybersec_mlops.ingestion.captures import PCAP_MAGIC, PCAPNG_MAGIC
from cybersec_mlops.ingestion.compression import MAGIC_BYTES, NONE, compression_of
from cybersec_mlops.ingestion.json_lines import objects_of
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.mapped import columns_of
from cybersec_mlops.ingestion.parquet_text import recognise_with
from cybersec_mlops.ingestion.reader import HEAD_BYTES, Head, Reader, Recognition, Refusal
from cybersec_mlops.ingestion.readers import all_readers, reader_of
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.ingestion.wrapped import recognise_wrapped

SUPPORTED: Final = (
    "Zeek conn.log (TSV or JSON), Suricata EVE with flow records, Argus binetflow, nfdump's text and CSV, "
    "AWS VPC flow logs, NetFlow v5, v9 and IPFIX datagrams, pcap and pcapng, CICFlowMeter CSV, KDD99, NSL-KDD, "
    "UNSW-NB15 (partition and raw files), the NF-* tables, CSV, JSON and Parquet with canonical names or with "
    "--mapping FILE; plain or compressed"
)
_BINARY: Final = (
    *((magic, "a packet capture (pcap)") for magic in PCAP_MAGIC),
    (PCAPNG_MAGIC, "a packet capture (pcapng)"),
    (b"ARROW1", "an Arrow file"),
    (b"\x7fELF", "a program"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PK\x05\x06", "a zip archive without files"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xff\xfe\x00\x00", "text in UTF-32"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)
_HINTS: Final = {
    **dict.fromkeys(("a packet capture (pcap)", "a packet capture (pcapng)"), "leave --format out, or name pcap"),
    "text in UTF-16": "convert it to UTF-8: iconv -f UTF-16 -t UTF-8 FILE",
    "text in UTF-32": "convert it to UTF-8: iconv -f UTF-32 -t UTF-8 FILE",
    "Argus bidirectional flows": "write them with ra -c , -n -u -s stime dur proto saddr sport dir daddr dport state "
    "stos dtos pkts bytes sbytes spkts",
    "a line of more than 1 MiB": "give a file of shorter lines (max_line_bytes in [limits] sets aside longer ones)",
    "a tar archive": "unpack it and give the folder: tar xf FILE",
    "a zip archive without files": "give a file with connections",
    "a 7-Zip archive": "unpack it and give the folder: 7z x FILE",
    "a RAR archive": "unpack it and give the folder: unrar x FILE",
}

_NESTED: Final = " inside another compression"
_NESTED_HINT: Final = "decompress it once by hand: only the outermost is looked into"

_FLATTEN: Final = (
    "its values are inside of objects, of which a mapping knows nothing: jq -c '[paths(scalars) as $path | "
    '{($path | map(tostring) | join(".")): getpath($path)}] | add\' FILE > flat.json writes them flat, and '
    "`cybersec-mlops inspect flat.json` drafts a mapping"
)
"""For the Elastic Common Schema, whose documents have the log's values under other names, and the like."""


def read_head(stream: BinaryIO) -> Head:
    """Read the beginning of a decompressed file; of Parquet, which says at its end what it is, the end as well."""
    data = stream.read(HEAD_BYTES)
    if not parquet.is_parquet(data):
        return Head(data, complete=len(data) < HEAD_BYTES)
    tail = data
    if stream.seekable():
        stream.seek(max(0, stream.seek(0, io.SEEK_END) - parquet.TAIL_BYTES))
        return Head(data, complete=len(data) < HEAD_BYTES, tail=stream.read())
    while chunk := stream.read(parquet.TAIL_BYTES):
        tail = (tail + chunk)[-parquet.TAIL_BYTES :]
    return Head(data, complete=len(data) < HEAD_BYTES, tail=tail)


def recognise(
    head: Head,
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    mappings: Sequence[Reader] = (),
) -> Recognition | Refusal:
    """Say which format a file of this beginning is of, or why it cannot be used.

    Parameters
    ----------
    head : Head
        The beginning of the decompressed file.
    format : str, optional
        The format that it must be of: a key of `all_readers`, or the name of a mapping.
    mappings : sequence of Reader
        Formats that mapping files make; they are asked first.

    Raises
    ------
    ConfigError
        There is no such format.
    """
    asked = [*mappings, *all_readers().values()]
    if format:
        asked = [reader_of(format, mappings=mappings)]
    if not head.data.removeprefix(BOM).strip():
        return Refusal("is empty", hint="give a file with connections", passable=True)
    answer = _answer(asked, head) or recognise_wrapped(head, partial(_answer, asked))
    if answer is not None:
        return answer
    looks = describe(head)
    wanted = f"the format {format}" if format else "a known format"
    hint = _NESTED_HINT if looks.endswith(_NESTED) else _HINTS.get(looks, f"supported are: {SUPPORTED}")
    if "with the keys" in looks and _is_nested(head):
        hint = _FLATTEN
    elif "table of" in looks or "with the keys" in looks:
        hint = f"`cybersec-mlops inspect FILE` drafts a mapping for a table of your own; {hint}"
    return Refusal(f"is not of {wanted}: it looks like {looks}", hint=hint, line=None, passable=True)


def _answer(asked: Sequence[Reader], head: Head) -> Recognition | Refusal | None:
    """Ask readers: the first that knows the file, else the first that knows why it cannot be used."""
    refusals = []
    for reader in asked:
        answer = recognise_with(reader, head)
        if isinstance(answer, Recognition):
            return answer
        if answer is not None:
            refusals.append(answer)
    return refusals[0] if refusals else None


def refused(refusal: Refusal, *, source: str) -> DataError:
    """Return the error for a file that was named and cannot be used."""
    return DataError(refusal.message, hint=refusal.hint, source=source, line=refusal.line)


def describe(head: Head) -> str:
    r"""Say in words what an unknown file looks like.

    >>> describe(Head(b"\xd4\xc3\xb2\xa1\x02\x00", complete=True))
    'a packet capture (pcap)'
    >>> describe(Head(b"a,b,c\n1,2,3\n", complete=True))
    'a table of 3 columns: a, b, c'
    """
    for magic, name in _BINARY:
        if head.data.startswith(magic):
            return name
    if parquet.is_parquet(head.data):
        return _parquet(head)
    if head.data[257:262] == b"ustar":
        return "a tar archive"
    if (kind := compression_of(head.data[:MAGIC_BYTES])) != NONE:
        return f"{kind}{_NESTED}"
    if b"\0" in head.data[:4096]:
        return _netflow(head.data) or "binary data"
    text = head.data.removeprefix(BOM).lstrip()
    if not head.complete and b"\n" not in text:
        return "a line of more than 1 MiB"
    first = text.partition(b"\n")[0].decode(errors="replace").strip()
    if first.startswith(("{", "[")):
        return _json(first, head)
    return _text(first)


def _netflow(data: bytes) -> str | None:
    version = int.from_bytes(data[:2], "big")
    return {5: "NetFlow v5 datagrams", 9: "NetFlow v9 datagrams", 10: "IPFIX datagrams"}.get(version)


def _parquet(head: Head) -> str:
    try:
        columns = columns_of(head)
    except DataError as error:
        return error.message
    names = [] if columns is None else list(columns.names)
    return f"a Parquet table of {len(names)} columns: {_some(names)}"


def _json(first: str, head: Head) -> str:
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        record = next(objects_of(head), None)
    if record is None:
        return "JSON over several lines, or damaged JSON"
    if isinstance(record, list):
        return "a JSON array"
    if {"event_type", "timestamp"} <= record.keys():
        return f"Suricata EVE ({printable(str(record['event_type']), 20)} records)"
    return f"JSON with the keys {_some(list(record))}"


def _is_nested(head: Head) -> bool:
    record = next(objects_of(head), {})
    return any(isinstance(value, dict) for value in record.values())


def _text(first: str) -> str:
    if first.startswith("StartTime"):
        return "Argus bidirectional flows"
    if "IPV4_SRC_ADDR" in first:
        return "a NetFlow table of the NF-* kind"
    for separator, word in (("\t", "tab-separated "), (",", ""), (";", "semicolon-separated ")):
        if (count := first.count(separator)) >= 2:
            return f"a {word}table of {count + 1} columns: {_some(first.split(separator))}"
    if re.match(r"[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d ", first):
        return "a syslog file"
    return f"text that begins with {printable(first, 60)!r}"


def _some(names: list[str]) -> str:
    shown = ", ".join(printable(name.strip(), 30) for name in names[:6])
    return f"{shown}, ..." if len(names) > 6 else shown
