"""What people see in a terminal: progress and summaries on stderr, lists on stdout. Nothing in here decides anything.

Every text may come from a log file: control characters are replaced, and Rich's markup is never interpreted.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from cybersec_mlops.hidden import HIDDEN

if TYPE_CHECKING:
    from cybersec_mlops.audit.events import RunSummary

PROGRESS_LOGGER = "cybersec_mlops.progress"
"""Where `pipeline.phase` tells of its progress."""
WAITING_LOGGER = "cybersec_mlops.waiting"
"""Where `waiting` tells what a run waits for."""
_CONTROL = re.compile(f"[{HIDDEN}]")
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
    """Print a line for each phase, and what is waited for; with `verbose` Prefect prints its own log instead."""
    for name, silent in ((PROGRESS_LOGGER, verbose), (WAITING_LOGGER, False)):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler() if silent else _ProgressHandler()]
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


def print_traceback(error: BaseException) -> None:
    """Print where an error was raised, for those who asked for it."""
    _stderr().print(safe("".join(traceback.format_exception(error))))


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
    for warning in document.get("warnings", ()):
        console.print(Text("  warning: ", style="bold yellow") + safe(warning))
    for reason in places.get("reasons", ()):
        console.print(safe(f"  {reason}"))
    report = document["phases"]["evaluation"]["report"]
    if report:
        console.print(Text("  report: ", style="bold") + safe(report))
    if places.get("audit_head"):
        console.print(Text("  audit: ", style="bold") + safe(places["audit_head"]))
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
    command = own_name()
    if places.get("synthetic"):
        return [f"{command} run /path/to/your/logs", f"{command} show {document['run_id']}"]
    return [f"{command} show {document['run_id']}"] if document["status"] != "failed" else []


def own_name() -> str:
    """Return what a person types to call this program: its name where it is on the PATH, its path elsewhere."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    if called.name != "cybersec-mlops" or (found and Path(found).samefile(called)):
        return "cybersec-mlops"
    return os.path.relpath(called)


def _count(value: Any) -> str:
    return "no labelled" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.2f} %"


def print_runs(found: Sequence[RunSummary]) -> None:
    """Print the list of runs, a line each."""
    from cybersec_mlops.pipeline.result import PHASES

    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        phases = ", ".join(f"{name} {status}" for name, status in one.phases.items() if name in (*PHASES, "scoring"))
        line = safe(f"{one.run_id}  {one.started_at:%Y-%m-%d %H:%M:%S}  ")
        line += safe(f"{one.status:<11}", _STATUS_STYLE.get(one.status, ""))
        console.print(line + safe(f"  {one.dataset or '-'}  ({phases})"))
    if not found:
        console.print("no run yet")


def print_described(described: Mapping[str, Any]) -> None:
    """Print everything about one run: phases, artefacts, metrics, lineage."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text("run ") + safe(described["run_id"], "bold") + Text("  ") + safe(described["status"]))
    if described["status"] == "running":
        console.print("  or killed: the audit has its beginning and no end")
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


def print_trace(document: Mapping[str, Any]) -> None:
    """Print where a thing came from and what it led to."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(safe(document["thing"], "bold") + safe(f"  {document['kind']}"))
    for title, name in (("it is", "objects"), ("made of", "sources")):
        console.print(Text(f"\n{title}", style="bold"))
        for reference in document[name]:
            size = "" if reference.get("bytes") is None else f"  {reference['bytes']:,} bytes"
            console.print(safe(f"  {reference['sha256']}{size}  {reference['uri']}"))
            for known in reference.get("names", ()):
                console.print(safe(f"    came as {known}"))
    for title, name in (("made by", "made_by"), ("led to", "led_to"), ("told of its models", "told")):
        console.print(Text(f"\n{title}", style="bold"))
        for event in document[name]:
            _print_event(console, event)
    for uri, reason in document["unread"].items():
        _stderr().print(Text("not looked into: ", style="yellow") + safe(f"{uri}: {reason}"))


def _print_event(console: Console, event: Mapping[str, Any]) -> None:
    line = safe(f"  row {event['id']}  {event['started_at']:%Y-%m-%d %H:%M:%S}  {event['phase']} ")
    console.print(line + safe(event["status"], _STATUS_STYLE.get(event["status"], "")) + safe(f"  {event['run_id']}"))
    told = {
        "dataset": event["dataset"],
        "rows": event["rows"],
        "code": event["code_version"],
        "uri": event["outputs"].get("uri"),
        "report": event["outputs"].get("report"),
        "snapshot": event["outputs"].get("snapshot"),
        "prefect flow run": event["prefect_flow_run_id"],
    }
    _print_tree(console, {name: value for name, value in told.items() if value not in (None, "")}, "    ")
    if event["parameters"]:
        _print_tree(console, {"parameters": event["parameters"]}, "    ")
    if event["metrics"]:
        _print_tree(console, {"metrics": event["metrics"]}, "    ")


def print_models(found: Sequence[Mapping[str, Any]]) -> None:
    """Print the registered versions, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        line = safe(f"{one['dataset']}  version {one['version']}  {one['registered_at']:%Y-%m-%d %H:%M:%S}  ")
        console.print(line + safe(f"{', '.join(one['aliases']) or '-':<10}", "green") + safe(f"  {one['uri']}"))
    if not found:
        console.print("no model yet")


def print_model(document: Mapping[str, Any]) -> None:
    """Print everything about one version."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(safe(f"{document['dataset']} version {document['version']}", "bold"))
    _print_tree(console, {name: value for name, value in document.items() if name not in ("dataset", "version")}, "  ")
