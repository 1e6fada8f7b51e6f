"""Zeek logs written by us, after the format's specification."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FIELDS = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state label"
TYPES = "time string addr port addr port enum string interval count count string string"
HEADER = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
    f"#fields\t{FIELDS.replace(' ', chr(9))}\n#types\t{TYPES.replace(' ', chr(9))}\n"
)


def line(number: int, **changes: str) -> str:
    """Return one connection; every fourth comes from another host, every fifth fails."""
    values = {
        "ts": f"{1_700_000_000 + number * 7}.{number % 10}00000",
        "uid": f"C{number:05}",
        "orig_h": f"10.0.0.{number % 4}",
        "orig_p": str(40_000 + number),
        "resp_h": f"192.0.2.{number % 3}",
        "resp_p": "443",
        "proto": "tcp",
        "service": "-",
        "duration": "1.5",
        "orig_bytes": str(number * 10),
        "resp_bytes": "-",
        "conn_state": "S0" if number % 5 == 0 else "SF",
        "label": "Malicious" if number % 10 == 0 else "Benign",
    }
    return "\t".join({**values, **changes}.values()) + "\n"


def write_log(path: Path, lines: Sequence[str]) -> Path:
    path.write_text(HEADER + "".join(lines))
    return path
