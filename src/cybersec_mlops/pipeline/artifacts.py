"""What the Prefect UI shows of a phase: a summary, a table of metrics, a link to the report.

Artifacts hold hashes, counts and metrics, no row of a log and no secret. Text that comes from a log is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from cybersec_mlops.hidden import HIDDEN

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>&$~])")
_CONTROL = re.compile(f"[{HIDDEN}\t\n]")


def escape_markdown(text: object, limit: int = 200) -> str:
    r"""Make a text from a log harmless in Markdown and HTML.

    >>> escape_markdown("<b>|`x`")
    '\\<b\\>\\|\\`x\\`'
    """
    return _SPECIAL.sub(r"\\\1", _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))[:limit])


def show_summary(phase: str, run_id: str, facts: Mapping[str, Any]) -> None:
    """Publish a phase's facts as a small table in Markdown."""
    rows = "\n".join(f"| {escape_markdown(name)} | {escape_markdown(_plain(value))} |" for name, value in facts.items())
    create_markdown_artifact(
        key=f"{phase}-summary",
        markdown=f"## {phase}\n\nrun `{escape_markdown(run_id)}`\n\n| | |\n|---|---|\n{rows}\n",
        description=f"What the {phase} of run {run_id} did",
    )


def show_metrics(run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Publish the metrics, with their intervals, as a table."""
    table = [{name: _plain(value) for name, value in row.items()} for row in rows]
    create_table_artifact(key="evaluation-metrics", table=table, description=f"Metrics of run {run_id}")


def show_report(run_id: str, uri: str) -> None:
    """Publish where the report is."""
    create_link_artifact(key="evaluation-report", link=uri, link_text="report", description=f"Report of run {run_id}")


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(count)}" for name, count in value.items()) or "-"
    return str(value)
