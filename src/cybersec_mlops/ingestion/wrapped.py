"""Records of a known format that something else wrapped: an export of Elasticsearch or Splunk, Filebeat, AWS, syslog.

They are not read: a wrapper is another for each product and each site. But it is said what is in it, and how to take
it out.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from cybersec_mlops.ingestion.json_lines import is_array, objects_of
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.reader import Head, Recognition, Refusal

DEPTH: Final = 2
"""Objects inside objects that are looked into."""
MOST: Final = 50
"""Places that are looked at, of however many keys a record has."""
LEAST_WORDS: Final = 5
"""A text of fewer is no line of a log."""
_CELLS: Final = ("@message", "message", "_raw", "event.original")
"""Columns of a CSV export that hold the lines of a log."""
_KEY: Final = re.compile(r"[\w@-]+", re.ASCII)
_BEFORE_OBJECT: Final = re.compile(rb"^[^{\n]+(?=\{)", re.MULTILINE)


def recognise_wrapped(head: Head, ask: Callable[[Head], Recognition | Refusal | None]) -> Refusal | None:
    """Say what is inside of records that are of no known format themselves; None where nothing known is.

    Parameters
    ----------
    head : Head
        The beginning of the decompressed file.
    ask : callable
        What recognises the beginning of a file.
    """
    refusal = None
    for where, how, inner in _insides(head):
        answer = ask(inner)
        if isinstance(answer, Recognition):
            return Refusal(
                f"holds {answer.format} records inside of {where}", hint=f"take them out: {how}", passable=True
            )
        if answer is not None and refusal is None:
            refusal = Refusal(f"{answer.message}, inside of {where}", hint=answer.hint, passable=True)
    return refusal


def _insides(head: Head) -> Iterator[tuple[str, str, Head]]:
    """Give the places where records may be: where, how to take them out, and the beginning of what is there."""
    text = head.data.removeprefix(BOM).lstrip()
    if not text.startswith((b"{", b"[")):
        if b"{" in text.partition(b"\n")[0]:
            lines = _BEFORE_OBJECT.sub(b"", text)
            yield "lines that begin with something else", "sed 's/^[^{]*//' FILE", Head(lines, complete=head.complete)
        yield from _cells(text, complete=head.complete)
        return
    for where, each, records in _lists(head):
        if where:
            yield f'the list "{where}"', f"jq -c '{each}' FILE", _head_of(records, head)
        for path in _places(records[0]):
            first = _at(records[0], path)
            values = [value for record in records if type(value := _at(record, path)) is type(first)]
            key = " | ".join(part for part in (each, _key(path)) if part)
            how = f"jq -c '{key}' FILE"
            if isinstance(first, str):
                how = f"jq -c '{key} | fromjson' FILE" if first.startswith("{") else f"jq -r '{key}' FILE"
            inside = f"{where}[].{'.'.join(path)}" if where else ".".join(path)
            yield f'the key "{inside}"', how, _head_of(values, head)


def _head_of(values: Sequence[dict[str, Any] | str | None], head: Head) -> Head:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return Head("\n".join([*texts, ""]).encode(errors="replace"), complete=head.complete)


def _key(path: tuple[str, ...]) -> str:
    return "".join(f".{part}" if part.isidentifier() else f'."{part}"' for part in path)


def _cells(text: bytes, *, complete: bool) -> Iterator[tuple[str, str, Head]]:
    """Give the lines of a log in a column of a CSV export (CloudWatch Logs Insights, Splunk, Kibana)."""
    try:
        rows = list(csv.DictReader(io.StringIO(text.decode(errors="replace"))))
    except csv.Error:
        return
    for name in _CELLS:
        lines = [row[name] for row in rows if row.get(name)]
        if lines:
            how = f"python3 -c 'import csv, sys; [print(row[\"{name}\"]) for row in csv.DictReader(sys.stdin)]' < FILE"
            data = "\n".join([*lines, ""]).encode(errors="replace")
            yield f'the column "{name}"', how, Head(data, complete=complete)


def _lists(head: Head) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Give the lists of records of a file: where they are, what gives each of them in jq, and the records.

    A file is one itself; the answer of an interface (Elasticsearch's search, the AWS CLI) is an object with one inside.
    """
    document = _document(head)
    records = list(objects_of(head)) if document is None else [document]
    if records:
        yield "", ".[]" if is_array(head.data) else "", records
    for path, inner in _lists_in(document or {}):
        yield ".".join(path), f"{_key(path)}[]", inner


def _document(head: Head) -> dict[str, Any] | None:
    """Return the one object that a file consists of, also over several lines; None where it is no such file."""
    if not head.complete:
        return None
    try:
        found = json.loads(head.data.removeprefix(BOM))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _lists_in(document: dict[str, Any], depth: int = DEPTH) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    for key, value in list(document.items())[:MOST]:
        if not _KEY.fullmatch(key):
            continue
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield (key,), value
        elif isinstance(value, dict) and depth > 1:
            yield from (((key, *path), found) for path, found in _lists_in(value, depth - 1))


def _places(record: dict[str, Any], depth: int = DEPTH) -> Iterator[tuple[str, ...]]:
    """Give the paths of a record at which there are objects, or texts that could be a line of a log."""
    found: list[tuple[str, ...]] = []
    for key, value in record.items():
        if not _KEY.fullmatch(key):
            continue
        if isinstance(value, dict):
            found.append((key,))
            found += [(key, *path) for path in _places(value, depth - 1)] if depth > 1 else []
        elif isinstance(value, str) and (value.startswith("{") or len(value.split()) > LEAST_WORDS):
            found.append((key,))
        if len(found) >= MOST:
            break
    yield from found[:MOST]


def _at(record: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | str | None:
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict | str) else None
