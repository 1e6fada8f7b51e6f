"""What ``cybersec-mlops inspect`` prints: a table of files, and below it what a person should know of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cybersec_mlops.presentation import safe

if TYPE_CHECKING:
    from cybersec_mlops.ingestion.inspect import Inspected

_HEADER = ("FORMAT", "ROWS", "KEPT", "QUARANTINED", "SKIPPED", "HOSTS", "FROM (UTC)", "TO (UTC)", "FILE")
_STYLE = {"usable": "", "passed over": "dim", "refused": "red"}
_SHOWN = 12


def inspect_document(found: Iterable[Inspected]) -> dict[str, Any]:
    """Return the one JSON document: the files, and how many of each status."""
    files = [one.to_dict() for one in found]
    usable = [one for one in files if one["status"] == "usable"]  # what is read of a refused file is not kept
    statuses = {status: sum(one["status"] == status for one in files) for status in _STYLE}
    return {"files": files, "statuses": statuses, "kept": sum(one["kept"] for one in usable)}


def print_inspected(document: Mapping[str, Any]) -> None:
    """Print the table and the remarks to stdout."""
    console = Console(highlight=False, soft_wrap=True)
    rows = [_HEADER, *(_row(one) for one in document["files"])]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADER) - 1)]
    styles = ["bold", *(_STYLE[one["status"]] for one in document["files"])]
    for row, style in zip(rows, styles, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        console.print(safe("  ".join(cells), style))
    for one in document["files"]:
        if remarks := list(_remarks(one)):
            console.print(safe(f"\n{one['source']}", "bold"))
            for remark in remarks:
                console.print(safe(f"  {remark}"))
    told = ", ".join(f"{count} {status}" for status, count in document["statuses"].items() if count)
    console.print(f"\n{told or 'no file'}; {document['kept']:,} connections would be kept")


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["format"] is None:
        return (one["status"], *"-------", one["source"])
    counts = (one["read"], one["kept"], sum(one["rejected"].values()), sum(one["skipped"].values()))
    times = (one[name][:19].replace("T", " ") if one[name] else "-" for name in ("first", "last"))
    hosts = "-" if one["hosts"] is None else f"{one['hosts']:,}"
    kind = one["format"] if one["status"] == "usable" else one["status"]
    return (kind, *(f"{count:,}" for count in counts), hosts, *times, one["source"])


def _remarks(one: Mapping[str, Any]) -> Iterator[str]:
    if one["problem"]:
        yield f"{one['status']}: {one['problem']}"
    if one["hint"] and one["status"] == "refused":
        yield f"hint: {one['hint']}"
    if one["format"]:
        kinds = [one["format"], one["variant"], *([one["compression"]] if one["compression"] != "none" else ())]
        yield ", ".join(["SYNTHETIC", *kinds] if one["synthetic"] else kinds)
    for title, name in (
        ("labels", "labels"),
        ("quarantined", "rejected"),
        ("skipped", "skipped"),
        ("nulled", "nulled"),
    ):
        if one[name]:
            yield f"{title}: {_some(one[name])}"
    for example in one["examples"]:
        where = f"line {example['line']}" + (f", {example['field']}" if example["field"] else "")
        yield f"  {where}: {example['reason']}: {example['detail']}"
    if one["ignored"]:
        yield f"columns that are not read: {', '.join(one['ignored'][:_SHOWN])}" + (
            f" and {len(one['ignored']) - _SHOWN} more" if len(one["ignored"]) > _SHOWN else ""
        )
    yield from one["notes"]
    if one["draft"]:
        yield "a mapping for it might begin like this:"
        yield from (f"    {line}" for line in one["draft"].splitlines())


def _some(counts: Mapping[str, int]) -> str:
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {count:,}" for name, count in largest[:_SHOWN])
    return f"{shown} and {len(largest) - _SHOWN} more" if len(largest) > _SHOWN else shown
