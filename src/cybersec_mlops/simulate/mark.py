"""The mark by which a simulated file says that it is synthetic, in each form of log."""

from __future__ import annotations

from typing import Final

MARK_TSV: Final = b"#synthetic\t"
MARK_JSON: Final = b'"_synthetic":true'
MARK_CSV: Final = "SYNTHETIC-"
_HEAD_BYTES: Final = 8192


def is_synthetic_head(head: bytes) -> bool:
    r"""Say whether a file was written by the simulator, from its first (decompressed) bytes.

    >>> is_synthetic_head(b"#separator \\x09\n#synthetic\tcybersec-mlops simulate\n")
    True
    >>> is_synthetic_head(b"#fields\tts\n")
    False
    """
    start = head[:_HEAD_BYTES]
    first, _, rest = start.partition(b"\n")
    if first.startswith(b"#"):
        return any(line.startswith(MARK_TSV) for line in rest.splitlines())
    if first.startswith(b"{"):
        return MARK_JSON in first
    return first.startswith(b"id,Flow ID,") and rest.startswith(MARK_CSV.encode())
