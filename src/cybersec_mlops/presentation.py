"""What people see in a terminal: progress and summaries on stderr, lists on stdout. Nothing in here decides anything.

Every text may come from a log file: control characters are replaced, and Rich's markup is never interpreted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from cybersec_mlops.audit.events import RunSummary

PROGRESS_LOGGER = "cybersec_mlops.progress"
"""Where `pipeline.phase` tells of its progress."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STATUS_STYLE = {"completed": "green", "rejected": "yellow", "failed": "red", "interrupted": "red"}


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def safe(value: object, style: str = "") -> Text:
    r"""Return a text without anything that a terminal would obey.

    >>> safe("a\x1b[2Jb").plain
    'a�[2Jb'
    """
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value)), style=style)


class _ProgressHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._console = _stderr()

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(safe(record.getMessage()))


def show_progress(*, verbose: bool) -> None:
    """Print a line for each phase; with `verbose` Prefect prints its own log instead."""
    logger = logging.getLogger(PROGRESS_LOGGER)
    logger.handlers = [logging.NullHandler() if verbose else _ProgressHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def print_error(error: Mapping[str, Any] | None) -> None:
    """Print an error's sentence and what to do."""
    if not error:
        return
    console = _stderr()
    console.print(Text("error: ", style="bold red") + safe(error["message"]))
    if error.get("hint"):
        console.print(Text("  hint: ", style="bold") + safe(error["hint"]))


def print_run(document: Mapping[str, Any], places: Mapping[str, Any]) -> None:
    """Print what a run did: where the report is, what was detected at what cost, what to do next."""
    console = _stderr()
    if document["run_id"] is None:
        return
    if places.get("synthetic"):
        console.print(Text("SYNTHETIC data: these figures say nothing about your network", style="bold yellow"))
    style = _STATUS_STYLE.get(document["status"], "")
    console.print(Text("run ") + safe(document["run_id"]) + Text(" ") + safe(document["status"], style))
    for line in _detection(document["metrics"]):
        console.print(safe(f"  {line}"))
    for reason in places.get("reasons", ()):
        console.print(safe(f"  {reason}"))
    report = document["phases"]["evaluation"]["report"]
    if report:
        console.print(Text("  report: ", style="bold") + safe(report))
    for line in _next_steps(document, places):
        console.print(Text("  next: ", style="bold") + safe(line))


def _detection(metrics: Mapping[str, Any]) -> list[str]:
    if metrics.get("rows") is None:
        return []
    lines = [f"evaluated on {metrics['rows']:,} later or held-out connections, {_count(metrics['attacks'])} attacks"]
    if metrics.get("detection_rate") is not None:
        lines.append(
            f"detected {_percent(metrics['detection_rate'])} of the attacks at a false-positive rate of"
            f" {_percent(metrics['false_positive_rate'])} (nominal {_percent(metrics['nominal_false_positive_rate'])})"
        )
    if metrics.get("roc_auc") is not None:
        lines.append(f"ROC-AUC {metrics['roc_auc']:.4f}, average precision {metrics['average_precision']:.4f}")
    return lines


def _next_steps(document: Mapping[str, Any], places: Mapping[str, Any]) -> list[str]:
    command = places.get("command", "cybersec-mlops")
    if places.get("synthetic"):
        return [f"{command} run /path/to/your/logs", f"{command} show {document['run_id']}"]
    return [f"{command} show {document['run_id']}"] if document["status"] != "failed" else []


def _count(value: Any) -> str:
    return "no labelled" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.2f} %"


def print_runs(found: Sequence[RunSummary]) -> None:
    """Print the list of runs, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        phases = ", ".join(f"{name} {status}" for name, status in one.phases.items())
        line = safe(f"{one.run_id}  {one.started_at:%Y-%m-%d %H:%M:%S}  ")
        line += safe(f"{one.status:<11}", _STATUS_STYLE.get(one.status, ""))
        console.print(line + safe(f"  {one.dataset or '-'}  ({phases})"))
    if not found:
        console.print("no run yet")


def print_described(described: Mapping[str, Any]) -> None:
    """Print everything about one run: phases, artefacts, metrics, lineage."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text("run ") + safe(described["run_id"], "bold") + Text("  ") + safe(described["status"]))
    for title in ("phases", "metrics", "lineage"):
        console.print(Text(f"\n{title}", style="bold"))
        _print_tree(console, described[title], "  ")
    if described.get("error"):
        print_error(described["error"])


def _print_tree(console: Console, value: Any, indent: str) -> None:
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for name, inner in items:
        if isinstance(inner, Mapping | list) and inner:
            console.print(safe(f"{indent}{name}"))
            _print_tree(console, inner, f"{indent}  ")
        else:
            console.print(safe(f"{indent}{name}: {'-' if inner in (None, [], {}) else inner}"))
