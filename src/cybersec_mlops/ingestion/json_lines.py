"""JSON records to typed columns: one object per line, or one array of objects, in bounded memory.

The whole block is parsed at once by Polars, strictly. Only when that fails are the lines at fault looked for, by
halves, and each is judged alone, so that a bad line never changes its neighbours (Polars 2.1.0: a value of another
type, or a line that is not JSON, stops the whole block).
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, BinaryIO, Final, TypeVar

import numpy as np
import orjson
import polars as pl
from polars.exceptions import PolarsError

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.lines import BOM, Lines, read_lines
from cybersec_mlops.ingestion.reader import Head
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.ingestion.sources import stream_of

CHUNK_BYTES: Final = 1 << 20
_ARRAY: Final = re.compile(rb"\s*\[\s*[{\]]")


def is_array(data: bytes) -> bool:
    r"""Say whether a file of this beginning is one JSON array.

    >>> is_array(b'[\n{"a": 1}]'), is_array(b'{"a": 1}')
    (True, False)
    """
    return _ARRAY.match(data.removeprefix(BOM)) is not None


def variant_of(data: bytes) -> str:
    r"""Return how the records of a file of this beginning are written.

    >>> variant_of(b'[{"a": 1}]'), variant_of(b'{"a": 1}')
    ('array', 'json')
    """
    return "array" if is_array(data) else "json"


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


def parse_objects(lines: Lines, schema: Mapping[str, pl.DataType], *, ignore_errors: bool = False) -> pl.DataFrame:
    """Parse lines of objects, each to one row; keys that `schema` does not name are not read.

    Parameters
    ----------
    lines : Lines
        Any number.
    schema : mapping
        Key to type.
    ignore_errors : bool
        Values of another type are null, and numbers are texts where texts are asked for.

    Raises
    ------
    PolarsError
        A line is not JSON or makes no row, or, unless that is ignored, a value has another type.
    """
    if not lines.height:
        return pl.DataFrame(schema=schema)
    frame = pl.read_ndjson(lines.data, schema=schema, ignore_errors=ignore_errors)
    if frame.height != lines.height:
        raise PolarsError(f"{lines.height} lines became {frame.height} rows")
    return frame.rechunk()  # else every step that adds a column copies all of them (Polars 2.1.0)


def is_readable(lines: Lines, parse: Callable[[Lines], pl.DataFrame]) -> bool:
    """Say whether some lines can be parsed, each to one row."""
    try:
        parse(lines)
    except PolarsError:
        return False
    return True


_Fault = TypeVar("_Fault")


def broken_lines(
    lines: Lines, readable: Callable[[Lines], bool], fault_of: Callable[[bytes], _Fault | None]
) -> dict[int, _Fault | None]:
    """Return the lines that cannot be parsed, each judged by itself, in their order.

    Parameters
    ----------
    lines : Lines
        Any number.
    readable : callable
        Whether some lines can be parsed at once. It alone decides, but it is slow for one line at a time.
    fault_of : callable
        What is wrong with a line, where that is sure; None where only `readable` can tell.

    Returns
    -------
    dict
        The places of the lines that are broken, and what is wrong with them as far as it is known.
    """
    broken: dict[int, _Fault | None] = {}
    waiting = [(0, lines.height)]
    while waiting:
        start, stop = waiting.pop()
        if readable(lines.part(start, stop)):
            continue
        middle = (start + stop) // 2
        if stop - start > _JUDGED_AT_ONCE:
            waiting += [(start, middle), (middle, stop)]
            continue
        piece = lines.part(start, stop)
        faults = [fault_of(piece.raw(index)) for index in range(piece.height)]
        unsure = np.array([index for index, fault in enumerate(faults) if fault is None], dtype=np.int64)
        broken.update((start + index, fault) for index, fault in enumerate(faults) if fault is not None)
        broken.update((start + int(index), None) for index in _unreadable(piece, unsure, readable))
    return dict(sorted(broken.items()))


def _unreadable(lines: Lines, places: np.ndarray, readable: Callable[[Lines], bool]) -> Iterator[int]:
    kept = np.zeros(lines.height, dtype=bool)
    kept[places] = True
    if not len(places) or readable(lines_where(lines, kept)):
        return
    if len(places) == 1:
        yield from places
        return
    middle = len(places) // 2
    for half in (places[:middle], places[middle:]):
        yield from _unreadable(lines, half, readable)


def json_fault(line: bytes) -> str | None:
    r"""Say what is wrong with a line that the block parser surely refuses; None where nothing is, or it is not sure.

    >>> json_fault(b'{"a" 1}'), json_fault(b'{"a": NaN}'), json_fault(b'{"a": 1}')
    ("no sound JSON: expecting ':' delimiter at character 6", 'no sound JSON: a number that is NaN', None)
    """
    try:
        _STRICT.decode(line.decode())
    except RecursionError:
        return None
    except json.JSONDecodeError as error:
        return f"no sound JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
    except ValueError as error:
        return f"no sound JSON: {error}"
    return None


def _no_constant(name: str) -> float:
    raise ValueError(f"a number that is {name}")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError("a number that is beyond what can be stored")
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


_JUDGED_AT_ONCE: Final = 2_048
_DIGITS: Final = 40
"""Whole numbers up to 2 ** 128, which has 39, are read by Polars 2.1.0 where their column is not."""
_STRICT: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)


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
    waiting, closed, ended, max_value = "", True, False, current().max_line_bytes
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
                if ended or len(waiting) - position > max_value:
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


def record_lines(stream: BinaryIO, *, source: str, batch_bytes: int) -> Iterator[Lines]:
    """Give the lines of a file, or the values of the JSON array that it is as lines, in blocks.

    Raises
    ------
    DataError
        An array that is damaged or cut off.
    """
    beginning = stream.read(CHUNK_BYTES)
    if not is_array(beginning):
        yield from read_lines(stream, batch_bytes=batch_bytes, beginning=beginning)
        return
    whole = stream_of(chain([beginning], iter(lambda: stream.read(CHUNK_BYTES), b"")))
    try:
        yield from array_lines(whole, batch_bytes=batch_bytes)
    except ValueError as error:
        raise DataError(
            f"a JSON array that cannot be read to its end ({error})",
            source=source,
            hint="write it again with one record per line: jq -c '.[]' FILE",
        ) from error


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
            yield orjson.loads(line)
        except ValueError:
            continue
