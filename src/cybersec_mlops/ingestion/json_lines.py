"""JSON records to typed columns: one object per line, or one array of objects, in bounded memory.

The whole block is parsed at once by Polars, strictly. Only when that fails are the lines at fault looked for, by
halves, and each is judged alone, so that a bad line never changes its neighbours (Polars 2.1.0: a value of another
type, or a line that is not JSON, stops the whole block).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from cybersec_mlops.ingestion.lines import BOM, MAX_LINE_BYTES, Lines
from cybersec_mlops.ingestion.reader import Head
from cybersec_mlops.ingestion.rejected import Rejected

CHUNK_BYTES: Final = 1 << 20
_ARRAY: Final = re.compile(rb"\s*\[\s*[{\]]")


def is_array(data: bytes) -> bool:
    r"""Say whether a file of this beginning is one JSON array.

    >>> is_array(b'[\n{"a": 1}]'), is_array(b'{"a": 1}')
    (True, False)
    """
    return _ARRAY.match(data.removeprefix(BOM)) is not None


def objects_only(lines: Lines, rejected: Rejected, skipped: dict[str, int]) -> Lines:
    """Set lines aside that cannot be an object; those of blanks alone are counted."""
    changes: dict[int, bytes | None] = {}
    first, last = lines.codes[lines.starts], lines.codes[lines.ends - 1]
    for index in np.flatnonzero((first != ord("{")) | (last != ord("}"))).tolist():
        line = lines.raw(index).strip(b" \t\r")
        if line.startswith(b"{") and line.endswith(b"}"):
            continue
        changes[index] = None
        if line:
            rejected.add(lines, index, "not_json", detail="a line that is no JSON object")
        else:
            skipped["blank_line"] = skipped.get("blank_line", 0) + 1
    return lines.edit(changes)


def parse_objects(lines: Lines, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Parse lines of objects; keys that `schema` does not name are not read.

    Raises
    ------
    PolarsError
        A line is not JSON, or a value has another type.
    """
    if not lines.height:
        return pl.DataFrame(schema=schema)
    frame = pl.read_ndjson(lines.data, schema=schema)
    if frame.height != lines.height:
        raise PolarsError(f"{lines.height} lines became {frame.height} rows")
    return frame


def broken_lines(
    lines: Lines, schema: Mapping[str, pl.DataType], parse: Callable[[Lines], pl.DataFrame] | None = None
) -> list[int]:
    """Return the lines that cannot be parsed, each by itself, in their order."""
    broken: list[int] = []
    waiting = [(0, lines.height)]
    while waiting:
        start, stop = waiting.pop()
        if _is_readable(lines.part(start, stop), parse or (lambda some: parse_objects(some, schema))):
            continue
        if stop - start == 1:
            broken.append(start)
        else:
            middle = (start + stop) // 2
            waiting += [(start, middle), (middle, stop)]
    return sorted(broken)


def _is_readable(lines: Lines, parse: Callable[[Lines], pl.DataFrame]) -> bool:
    try:
        return parse(lines).height == lines.height
    except PolarsError:
        return False


def lines_where(lines: Lines, kept: np.ndarray) -> Lines:
    r"""Return the lines for which `kept`, Boolean of shape (lines.height,), is true: `Lines.edit` for many at once.

    >>> lines_where(Lines(b"a\nbb\nc\n", 1), np.array([True, False, True])).data
    b'a\nc\n'
    """
    data = lines.codes[np.repeat(kept, lines.lengths + 1)].tobytes()
    return Lines(data, lines.numbers().to_numpy()[kept])


def array_values(chunks: Iterable[bytes]) -> Iterator[Any]:
    r"""Give the values of JSON arrays one by one, whatever their layout.

    Raises
    ------
    ValueError
        What follows is no JSON, the file ends inside the array, or a value is larger than a line may be.

    Examples
    --------
    >>> list(array_values([b'[{"a": 1},\n {"a"', b": 2}]"]))
    [{'a': 1}, {'a': 2}]
    """
    decoder, text = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8-sig")("replace")
    waiting, closed, ended = "", True, False
    source = iter(chunks)
    while not ended:
        chunk = next(source, b"")
        ended = not chunk
        waiting += text.decode(chunk, final=ended)
        position = 0
        while True:
            start = _next_value(waiting, position)
            closed = waiting[position:start].rstrip().endswith("]") if waiting[position:start].strip() else closed
            position = start
            if position == len(waiting):
                break
            try:
                value, position = decoder.raw_decode(waiting, position)
            except RecursionError as error:
                raise ValueError("JSON that is nested too deeply") from error
            except ValueError:
                if ended or len(waiting) - position > MAX_LINE_BYTES:
                    raise
                break
            closed = False
            yield value
        waiting = waiting[position:]
    if not closed:
        raise ValueError("the file ends inside the array")


def _next_value(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n,[]":
        position += 1
    return position


def array_lines(stream: BinaryIO, *, batch_bytes: int) -> Iterator[Lines]:
    """Give the values of a JSON array as lines, numbered by their place in the array from 1.

    Raises
    ------
    ValueError
        As `array_values`.
    """
    pieces, size, first = list[bytes](), 0, 1
    for value in array_values(iter(lambda: stream.read(CHUNK_BYTES), b"")):
        pieces.append(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        size += len(pieces[-1])
        if size >= batch_bytes:
            yield Lines(b"".join(pieces), first)
            first, pieces, size = first + len(pieces), [], 0
    if pieces:
        yield Lines(b"".join(pieces), first)


def objects_of(head: Head) -> Iterator[dict[str, Any]]:
    """Give the objects at the beginning of a file, as far as they are sound."""
    values = _values_of_array(head) if is_array(head.data) else _values_of_lines(head)
    return (value for value in values if isinstance(value, dict))


def _values_of_array(head: Head) -> Iterator[Any]:
    values = array_values([head.data])
    while True:
        try:
            yield next(values)
        except (StopIteration, ValueError):
            return


def _values_of_lines(head: Head) -> Iterator[Any]:
    lines = head.data.removeprefix(BOM).splitlines()
    for line in lines if head.complete else lines[:-1]:
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            continue
