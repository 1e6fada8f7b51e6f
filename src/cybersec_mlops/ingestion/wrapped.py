"""Records of a known format that something else wrapped: an export of Elasticsearch or Splunk, Filebeat, AWS, syslog.

They are not read: a wrapper is another for each product and each site. But it is said what is in it, and how to take
it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
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
        return
    records = list(objects_of(head))
    each = ".[] | " if is_array(head.data) else ""
    for path in _places(records[0]) if records else ():
        first = _at(records[0], path)
        values = [value for record in records if type(value := _at(record, path)) is type(first)]
        key = each + "".join(f".{part}" if part.isidentifier() else f'."{part}"' for part in path)
        if isinstance(first, str):
            how = f"jq -c '{key} | fromjson' FILE" if first.startswith("{") else f"jq -r '{key}' FILE"
            texts = [str(value) for value in values]
        else:
            how, texts = f"jq -c '{key}' FILE", [json.dumps(value) for value in values]
        lines = "\n".join([*texts, ""]).encode(errors="replace")
        yield f'the key "{".".join(path)}"', how, Head(lines, complete=head.complete)


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
