"""Runs of whole lines: how a stream of bytes is cut, numbered and cleaned before anything parses it.

A text log is read in blocks of some 32 MiB that end at a line's end, so that memory is bounded and each block can be
parsed at once. What no parser should meet is dealt with here: lines that are too long, blank, of another encoding, with
NUL bytes; Windows line ends; byte-order marks. Line numbers are those of the decompressed original, from 1.
Nothing in here knows a format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final, Literal

import numpy as np
import polars as pl

from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.storage.streams import unbuffered

BOM: Final = b"\xef\xbb\xbf"
NEWLINE: Final = ord("\n")

Encoding = Literal["utf-8", "cp1252"]
"""What a line that is not UTF-8 is taken for: "utf-8" sets it aside, "cp1252" reads it as Windows-1252."""


class Lines:
    r"""Whole lines in one buffer, with their numbers in the original.

    Parameters
    ----------
    data : bytes
        The lines, each with its newline.
    numbers : int or ndarray of int64
        The number of the first line where they follow each other, otherwise of each.

    Examples
    --------
    >>> lines = Lines(b"a\nb\nc\n", 10)
    >>> lines.height, lines.raw(1), lines.number(1)
    (3, b'b', 11)
    >>> lines.count(ord("b")), lines.holding(lines.positions(ord("b")))
    (1, [1])
    >>> rest = lines.edit({1: None})
    >>> rest.data, rest.number(1)
    (b'a\nc\n', 12)
    """

    __slots__ = ("_ends", "_height", "_numbers", "data")

    def __init__(self, data: bytes, numbers: int | np.ndarray, ends: np.ndarray | None = None) -> None:
        self.data = data
        self._numbers, self._ends = numbers, ends
        self._height = None if ends is None else len(ends)

    @property
    def codes(self) -> np.ndarray:
        """The bytes as numbers, without a copy."""
        return np.frombuffer(self.data, np.uint8)

    @property
    def ends(self) -> np.ndarray:
        """Where the newline of each line is; looked for when it is first asked for."""
        if self._ends is None:
            self._ends = self.positions(NEWLINE)
            self._height = len(self._ends)
        return self._ends

    @property
    def height(self) -> int:
        """How many lines; to count them takes half the time that it takes to find them."""
        if self._height is None:
            self._height = self.count(NEWLINE)
        return self._height

    def count(self, code: int) -> int:
        """Say how often a byte is there."""
        return count_of(code, self.data)

    def hold(self, *texts: bytes) -> bool:
        """Say whether one of several texts is anywhere in them: faster than `in` for each."""
        return any(
            self.data.find(text, start, start + _AT_ONCE + len(text) - 1) >= 0
            for start in range(0, len(self.data), _AT_ONCE)
            for text in texts
        )

    def positions(self, code: int) -> np.ndarray:
        """Return where a byte is, int64: `np.flatnonzero` without an intermediate of the size of the block."""
        codes, starts = self.codes, range(0, len(self.data), _AT_ONCE)
        found = [np.flatnonzero(codes[start : start + _AT_ONCE] == code) + start for start in starts]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def holding(self, places: np.ndarray) -> list[int]:
        """Return the lines in which these places are, each once."""
        found: list[int] = np.unique(np.searchsorted(self.ends, places)).tolist()
        return found

    @property
    def starts(self) -> np.ndarray:
        """Where each line begins."""
        return np.concatenate((np.zeros(1, np.int64), self.ends + 1))[: self.height]

    @property
    def lengths(self) -> np.ndarray:
        """Bytes of each line, without its newline."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    def raw(self, index: int) -> bytes:
        """Return a line without its newline."""
        start = int(self.ends[index - 1]) + 1 if index else 0
        return self.data[start : int(self.ends[index])]

    def number(self, index: int) -> int:
        """Return the number of a line in the original."""
        return self._numbers + index if isinstance(self._numbers, int) else int(self._numbers[index])

    def numbers(self) -> pl.Series:
        """Return the numbers of all lines, Int64."""
        if isinstance(self._numbers, int):
            return pl.int_range(self._numbers, self._numbers + self.height, dtype=pl.Int64, eager=True)
        return pl.Series(self._numbers, dtype=pl.Int64)

    def part(self, start: int, stop: int) -> Lines:
        """Return the lines from `start` up to `stop`."""
        if start == 0 and stop == self.height:
            return self
        begin = int(self.ends[start - 1]) + 1 if start else 0
        end = int(self.ends[stop - 1]) + 1 if stop else 0
        numbers = self._numbers + start if isinstance(self._numbers, int) else self._numbers[start:stop]
        return Lines(self.data[begin:end], numbers, self.ends[start:stop] - begin)

    def edit(self, changes: Mapping[int, bytes | None]) -> Lines:
        """Return the lines with some replaced, or dropped where the replacement is None."""
        if not changes:
            return self
        pieces, done = [], 0
        for index in sorted(changes):
            pieces.append(self.data[done : int(self.ends[index - 1]) + 1 if index else 0])
            if (line := changes[index]) is not None:
                pieces.append(line + b"\n")
            done = int(self.ends[index]) + 1
        pieces.append(self.data[done:])
        kept = np.ones(self.height, dtype=bool)
        kept[[index for index, line in changes.items() if line is None]] = False
        return Lines(b"".join(pieces), self.numbers().to_numpy()[kept])


_AT_ONCE: Final = 1 << 18
"""Bytes that are looked at at once: they, and what is made of them, stay in the processor's cache."""


def count_of(code: int, data: bytes) -> int:
    r"""Say how often a byte is there; `bytes.count` takes three times as long, holding the interpreter's lock.

    >>> count_of(ord("\n"), b"a\nb\n")
    2
    """
    return int((pl.Series(np.frombuffer(data, np.uint8)) == code).sum())


_PIECE_BYTES: Final = 1 << 20
"""Taken from a stream at once."""


def read_lines(stream: BinaryIO, *, batch_bytes: int, first: int = 1, beginning: bytes = b"") -> Iterator[Lines]:
    r"""Cut a stream into runs of whole lines of about `batch_bytes`; a last line without newline is given one.

    Of a line longer than `Limits.max_line_bytes` only that much and a little more is kept, so that `clean` can set it
    aside. `beginning` is what was read of the stream before.

    >>> import io
    >>> [lines.data for lines in read_lines(io.BytesIO(b"b\nc"), batch_bytes=2, beginning=b"a")]
    [b'ab\n', b'c\n']
    """
    max_line_bytes = current().max_line_bytes
    buffered, take = unbuffered(stream)
    beginning, rest = beginning + buffered, b""
    while pieces := _pieces(beginning, take, batch_bytes):
        beginning = beginning[batch_bytes:]
        last = next((at for at in reversed(range(len(pieces))) if b"\n" in pieces[at]), None)
        if last is None:
            rest = b"".join((rest, *pieces))[: max_line_bytes + 1]
            continue
        cut = pieces[last].rfind(b"\n") + 1
        lines = Lines(b"".join((rest, *pieces[:last], memoryview(pieces[last])[:cut])), first)
        rest = b"".join((memoryview(pieces[last])[cut:], *pieces[last + 1 :]))[: max_line_bytes + 1]
        yield lines
        first += lines.height  # which whoever took them knows by now, mostly
    if rest:
        yield Lines(rest + b"\n", first)


def _pieces(beginning: bytes, take: Callable[[int], bytes], size: int) -> list[bytes]:
    """Take so many bytes of a stream, fewer at its end; they are copied once, when the lines are known."""
    pieces = [beginning[:size]] if beginning else []
    left = size - len(beginning)
    while left > 0 and (piece := take(min(left, _PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return pieces


def has_long_line(lines: Lines) -> bool:
    r"""Say whether `clean` would set a line aside for its length; no line is looked for.

    >>> has_long_line(Lines(b"a" * current().max_line_bytes + b"\n", 1))
    False
    """
    data, max_line_bytes = lines.data, current().max_line_bytes
    start = 0
    while len(data) - start > max_line_bytes + 1:  # behind the last line's end that is not too far, if there is one
        start, before = data.rfind(b"\n", start, start + max_line_bytes + 1) + 1, start
        if start <= before:
            return True
    return False


def clean(
    lines: Lines,
    rejected: Rejected,
    skipped: dict[str, int],
    *,
    encoding: Encoding = "utf-8",
) -> Lines:
    """Take away what no parser should meet; what goes is in `rejected` or counted in `skipped`.

    Returns
    -------
    Lines
        UTF-8 without NUL, byte-order marks, carriage returns at line ends, blank and over-long lines.
    """
    if b"\r" in lines.data and b"\r\n" in lines.data:
        lines = Lines(lines.data.replace(b"\r\n", b"\n"), lines.numbers().to_numpy())
    ascii_only = lines.data.isascii()
    if not ascii_only:
        lines = _without_marks(lines)
    changes: dict[int, bytes | None] = {}
    lengths, max_line_bytes = lines.lengths, current().max_line_bytes
    for index in np.flatnonzero(lengths > max_line_bytes).tolist():
        changes[index] = None
        rejected.add(lines, index, "line_too_long", detail=f"more than {max_line_bytes} bytes")
    for index in lines.holding(lines.positions(0)) if b"\0" in lines.data else ():
        if index not in changes:
            changes[index] = None
            rejected.add(lines, index, "nul_byte", detail="a NUL byte, expected text")
    if not ascii_only:
        _check_encoding(lines, encoding, changes, rejected)
    blank = np.flatnonzero(lengths == 0).tolist()
    if blank:
        changes.update(dict.fromkeys(blank))
        skipped["blank_line"] = skipped.get("blank_line", 0) + len(blank)
    return lines.edit(changes)


def _without_marks(lines: Lines) -> Lines:
    marked = [i for i in lines.holding(lines.positions(BOM[0])) if lines.raw(i).startswith(BOM)]
    return lines.edit({index: lines.raw(index).removeprefix(BOM) for index in marked})


def _check_encoding(lines: Lines, encoding: Encoding, changes: dict[int, bytes | None], rejected: Rejected) -> None:
    if _is_utf8(lines.data):
        return
    for index in lines.holding(np.flatnonzero(lines.codes >= 128)):
        line = lines.raw(index)
        if index in changes or _is_utf8(line):
            continue
        if encoding == "utf-8":
            changes[index] = None
            rejected.add(lines, index, "not_utf8", detail="bytes that are not UTF-8")
        else:
            changes[index] = line.decode("cp1252", errors="replace").encode()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
