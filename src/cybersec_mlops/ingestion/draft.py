"""The beginning of a mapping file for a table of no known format, guessed from the names of its columns."""

from __future__ import annotations

import json
import re
from typing import Final

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.delimited import split_quoted
from cybersec_mlops.ingestion.json_lines import objects_of
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.mapped import Columns, columns_of, separator_of
from cybersec_mlops.ingestion.reader import Head
from cybersec_mlops.ingestion.rejected import printable

MAX_LINES: Final = 60
"""Columns that a draft lists at most."""
LEAST: Final = 3
"""Columns that must be guessed: with fewer it is no table of connections."""

_GUESSES: Final = {
    "ts": (
        "ts time timestamp start starttime firstseen flowstart begin datetime stime startdatetime "
        "eventtime flowstartmilliseconds firstswitched receivetime eventstart "
        "timeflowstartns timestampstart"
    ),
    "ts_end": (
        "end endtime lastseen flowend ltime flowendmilliseconds lastswitched stop eventend etime timeflowendns "
        "timestampend"
    ),
    "uid": "uid flowid sessionid connid connectionid id",
    "orig_h": (
        "origh idorigh src srcip sourceip srcaddr sourceaddress saddr sip clientip ipv4srcaddr "
        "sourceipv4address sourceipaddress client source ipsrc"
    ),
    "orig_p": "origp idorigp srcport sourceport sport spt clientport l4srcport sourcetransportport portsrc",
    "resp_h": (
        "resph idresph dst dstip destinationip destip dstaddr destinationaddress daddr dip serverip "
        "ipv4dstaddr destinationipv4address destinationipaddress server destination ipdst"
    ),
    "resp_p": (
        "respp idrespp dstport destinationport destport dport dpt serverport l4dstport destinationtransportport portdst"
    ),
    "proto": "proto protocol ipprotocol protocolidentifier transport ipproto networktransport pro",
    "service": "service app application appproto l7proto applicationname networkprotocol",
    "duration_s": (
        "duration durations dur flowduration elapsed elapsedtime durationms durationus sessionduration eventduration"
    ),
    "orig_bytes": (
        "origbytes bytessent srcbytes sbytes sentbytes bytesout outbytes sentbyte bytestoserver "
        "sourcebytes octetdeltacount bytesin inbytes"
    ),
    "resp_bytes": (
        "respbytes bytesreceived dstbytes dbytes rcvdbytes rcvdbyte bytestoclient destinationbytes receivedbytes"
    ),
    "orig_pkts": (
        "origpkts packetssent srcpkts spkts sentpkt pktssent pktstoserver sourcepackets packetdeltacount "
        "sentpackets inpkts"
    ),
    "resp_pkts": (
        "resppkts packetsreceived dstpkts dpkts rcvdpkt pktsreceived pktstoclient destinationpackets "
        "receivedpackets outpkts"
    ),
    "orig_ip_bytes": "srcipbytes",
    "resp_ip_bytes": "dstipbytes",
    "conn_state": "connectionstate",
}
"""Canonical name to what columns of that meaning are called, without marks and in lower case."""
_LABELS: Final = ("label", "class", "attack", "attackcat", "category", "attacktype", "target", "verdict")
_FLAGS: Final = ("isattack", "ismalicious", "malicious")
_BY_NAME: Final = {
    **{name.replace("_", ""): name for name in CONNECTION_SCHEMA},
    **{word: target for target, words in _GUESSES.items() for word in words.split()},
}
_EPOCH_DIGITS: Final = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us", 19: "epoch_ns"}
_PATTERNS: Final = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "iso"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d$", "%Y-%m-%d %H:%M"),
    (r"\d{4}/\d\d/\d\dT\d\d:\d\d:\d\d\.\d+$", "%Y/%m/%dT%H:%M:%S%.f"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d$", "%Y/%m/%d %H:%M:%S"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d:\d\d$", "%d.%m.%Y %H:%M:%S"),
    (r"\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "%d/%b/%Y:%H:%M:%S %z"),
    (r"[A-Z][a-z]{2} \d\d?, \d{4} @ \d\d:\d\d:\d\d\.\d+$", "%b %d, %Y @ %H:%M:%S%.f"),
    (r"\d\d?/\d\d?/\d{4} \d\d?:\d\d:\d\d$", "%d/%m/%Y %H:%M:%S"),
)


def draft_mapping(head: Head) -> str | None:
    r"""Return the text of a mapping for a table of this beginning; None where it is no table of connections.

    >>> text = draft_mapping(Head(b"src_ip;dst_ip;dst_port;duration_ms\n10.0.0.1;10.0.0.2;80;3\n", complete=True))
    >>> [line for line in text.splitlines() if "src_ip" in line]
    ['src_ip = "orig_h"']
    """
    try:
        columns = columns_of(head)
    except DataError:
        return None
    if columns is None:
        return None
    guesses = _guess(columns)
    if sum(target in CONNECTION_SCHEMA for target in guesses.values()) < LEAST:
        return None
    return "\n".join([*_top(columns, head), *_lines(columns, guesses, _sample(head, columns))]) + "\n"


def _guess(columns: Columns) -> dict[str, str]:
    """Return for columns what they probably are; the first of two that would be the same."""
    found: dict[str, str] = {}
    for name in columns.names:
        target = _BY_NAME.get(_plain(name))
        if target is not None and target not in found.values() and name not in columns.unusable:
            found[name] = target
    if "duration_s" in found.values():
        found = {name: target for name, target in found.items() if target != "ts_end"}
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _top(columns: Columns, head: Head) -> list[str]:
    lines = ["# A draft, guessed from the names alone: check every line, give it a name, save it as mapping.toml,"]
    lines += ["# and add --mapping mapping.toml. Every setting: examples/mapping.toml", "", 'name = "my_table"']
    if columns.kind == "csv" and (mark := separator_of(head.data.partition(b"\n")[0])) != ",":
        lines.append(f"separator = {json.dumps(mark)}")
    return [*lines, "", "[columns]"]


def _lines(columns: Columns, guesses: dict[str, str], sample: dict[str, str]) -> list[str]:
    lines, label = [], []
    for name in columns.names[:MAX_LINES]:
        key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(printable(name, 120), ensure_ascii=False)
        if name in guesses:
            lines.append(f"{key} = {_meaning(name, guesses[name], sample.get(name, ''), columns)}")
        elif _plain(name) in _LABELS + _FLAGS:
            label.append((name, "is_attack" if _plain(name) in _FLAGS else "column"))
        elif name in columns.unusable:
            lines.append(f"# {key}: {columns.unusable[name]}")
        else:
            native = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
            kind = "" if _is_number(sample.get(name, "")) else ', type = "text"'
            native = native if re.match(r"[a-z]", native) else f"c_{native}"
            lines.append(f'# {key} = {{ native = "{native[:40]}"{kind} }}')
    if len(columns.names) > MAX_LINES:
        lines.append(f"# and {len(columns.names) - MAX_LINES} more columns")
    for name, key in label[:1]:
        lines += ["", "[label]", f"{key} = {json.dumps(name, ensure_ascii=False)}"]
        lines += ['benign = ["benign", "normal", "0"]'] * (key == "column")
    return lines


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?|", text) is not None


def _meaning(name: str, target: str, value: str, columns: Columns) -> str:
    if target in ("ts", "ts_end"):
        form = _time_format(value)
        return f'{{ to = "{target}", format = "{form}" }}' if form and columns.kind != "parquet" else f'"{target}"'
    plain = _plain(name)
    if plain == "eventduration":  # of the Elastic Common Schema
        return f'{{ to = "{target}", unit = "ns" }}'
    for unit in ("ms", "us", "ns") if target == "duration_s" else ():
        if plain.endswith((f"duration{unit}", f"dur{unit}")):
            return f'{{ to = "{target}", unit = "{unit}" }}'
    return f'"{target}"'


def _time_format(value: str) -> str | None:
    number = value.partition(".")[0]
    if number.isascii() and number.isdigit():
        return _EPOCH_DIGITS.get(len(number), "epoch_s")
    return next((form for pattern, form in _PATTERNS if re.match(pattern, value)), None)


def _sample(head: Head, columns: Columns) -> dict[str, str]:
    """Return the values of the first row."""
    if columns.kind == "json":
        return {name: str(value) for name, value in next(objects_of(head), {}).items()}
    if columns.kind == "parquet":
        return {}
    lines = head.data.removeprefix(BOM).lstrip(b"\r\n").splitlines()
    cells = split_quoted(lines[1], separator_of(lines[0])) if len(lines) > 1 else None
    return dict(zip(columns.names, (cell.strip() for cell in cells or ()), strict=False))
