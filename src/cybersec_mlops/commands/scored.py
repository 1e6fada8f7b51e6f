"""What a person sees of a scoring: what it was worth, and the first alerts as a table. All text comes from logs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from cybersec_mlops.presentation import own_name, safe

if TYPE_CHECKING:
    from cybersec_mlops.storage.layers import Layers

SHOWN: Final = 10
"""Alerts in the table."""
_FIRST_BYTES: Final = 1 << 20
_HEADER: Final = ("#", "SCORE", "P", "TIME (UTC)", "CONNECTION", "WHY")


def print_outcome(document: Mapping[str, Any], layers: Layers, *, to_stdout: bool) -> None:
    """Print the summary and the table to stderr, and all alerts to stdout where they are wanted there."""
    print_scored(document, first_alerts(document, layers, SHOWN))
    if to_stdout:
        write_alerts(document, layers)


def first_alerts(document: Mapping[str, Any], layers: Layers, count: int) -> list[dict[str, Any]]:
    """Read the first alerts of a scoring from EVAL."""
    stored = document["alerts"]["ndjson"]
    store = layers.store_of(stored["uri"])
    data = store.get_range(store.key(stored["uri"]), 0, min(stored["bytes"], _FIRST_BYTES)) if stored["bytes"] else b""
    lines = data.split(b"\n")[:-1]  # what follows the last line's end is a line cut off, or nothing
    return [json.loads(line) for line in lines[:count]]


def write_alerts(document: Mapping[str, Any], layers: Layers) -> None:
    """Write all alerts to stdout as NDJSON; a reader that has seen enough is no error."""
    stored = document["alerts"]["ndjson"]
    store = layers.store_of(stored["uri"])
    try:
        for chunk in store.chunks(store.key(stored["uri"])):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at the end


def print_scored(document: Mapping[str, Any], alerts: list[dict[str, Any]]) -> None:
    """Print what was scored, what it is worth, and the first alerts as a table, to stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line, style in _summary(document["metrics"]):
        console.print(safe(line, style))
    for row, style in _table(alerts):
        console.print(safe(row, style))
    more = document["metrics"]["alerts"] - len(alerts)
    if more > 0:
        console.print(safe(f"  ... and {more:,} more"))
    place = document["alerts"]["out"] or document["alerts"]["uri"]
    console.print(Text("  alerts: ", style="bold") + safe(place))
    console.print(Text("  next: ", style="bold") + safe(f"{own_name()} show {document['run_id']}"))


def _summary(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    model = told["model"]
    name = model["sha256"][:12] if model["version"] is None else model["version"]
    if told["synthetic"]:
        yield "SYNTHETIC data: these alerts say nothing about your network", "bold yellow"
    yield f"{told['rows']:,} connections scored by {model['dataset']}@{name}: {told['alerts']:,} alerts", "bold"
    share, nominal = told["calibration"]["alert_share"], told["calibration"]["nominal_rate"]
    yield (
        f"  {100 * share:.2f} % of them are at or above the threshold (nominal {100 * nominal:g} % of benign ones)",
        "",
    )
    if told["per_day"] is not None and told["alerting_rows"] > told["alerts"]:
        left = told["alerting_rows"] - told["alerts"]
        yield f"  {left:,} more were left out by the limit of {told['per_day']:,} a day", ""
    if told["quarantined"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in told["quarantine_reasons"].items())
        yield f"  {told['quarantined']:,} rows could not be read and were set aside: {reasons}", "yellow"


def _table(alerts: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if not alerts:
        return
    rows = [_HEADER, *(_row(one) for one in alerts)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADER) - 1)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        yield "  " + "  ".join(cells).rstrip(), "" if number else "bold"


def _row(alert: Mapping[str, Any]) -> tuple[str, ...]:
    own = alert["cybersec_mlops"]
    ends = [_place(alert.get(side, {})) for side in ("source", "destination")]
    network = alert.get("network", {})
    what = "/".join(str(network[name]) for name in ("transport", "protocol") if name in network)
    why = "; ".join(
        f"{one['feature']} {_short(one.get('value', 'missing'))} (usual {_short(one['usual'])})"
        for one in own.get("explanation", [])[:2]
    )
    return (
        str(own["rank"]),
        f"{own['score']:.1f}",
        f"{own['p_value']:.1g}",
        alert.get("@timestamp", "-")[:19].replace("T", " "),
        _short(f"{' > '.join(ends)} {what}", 72),
        why,
    )


def _place(end: Mapping[str, Any]) -> str:
    return f"{_short(end.get('address', '-'), 40)}:{end.get('port', '-')}"


def _short(text: object, limit: int = 24) -> str:
    cleaned = " ".join(str(text).split())
    return cleaned if len(cleaned) <= limit else f"{cleaned[: limit - 3]}..."
