"""What production does to a run, done to it on real servers: the table of docs/reliability.md.

    .venv/bin/python benchmarks/faults.py [--only NAME...] [--folder DIR] [--write]

With ``--only``, ``--write`` replaces those lines of the table.

Every case has a database and a place in the store of its own. A run is begun, the fault is done to it, the services
are put right again, and the same command is given once more. Then everything is checked (fault_checks.py). It takes an
hour or two, and needs nothing but the package with its extra ``stack``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fault_cases import FAULTS, Fault, NotDoneError
from fault_checks import check_case, check_run
from fault_world import CONNECTIONS, Case, Ended, World

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
BEGIN: Final = "<!-- made by benchmarks/faults.py -->"
END: Final = "<!-- end of what is made -->"
HEAD: Final = """\
{date}, `.venv/bin/python benchmarks/faults.py --write`: {connections:,} simulated connections; SeaweedFS, PostgreSQL
and a Prefect server as `cybersec-mlops stack up` starts them; {cores} cores shared with other heavy work, so that an
undisturbed run took {seconds:.0f} s: read no speed from this. After {held} of {done} faults every check held.

| fault | exit | ended after | what the user sees | left behind | the next run | checks |
|---|---|---|---|---|---|---|
"""


@dataclass
class Row:
    """What came of a fault."""

    fault: Fault
    first: list[Ended]
    second: Ended | None
    broken: list[str] = field(default_factory=list)
    note: str = ""


def suffer(world: World, fault: Fault) -> Row:
    """Do a fault, put everything right, run again, check."""
    case = Case(world, fault.name)
    try:
        first = fault.do(case)
    except NotDoneError as error:
        return Row(fault, [], None, note=f"not done: {error}")
    finally:
        world.restore()
    noted = case.audit.head()
    second = case.run()
    broken = [told for run in first for told in check_run(run, waits=fault.waits)]
    broken += check_case(case, first, second, noted, may_redo=fault.may_redo, unwritten=fault.unwritten)
    return Row(fault, first, second, broken)


def line(row: Row) -> str:
    """Return a fault as a line of the table."""
    if row.second is None:
        return f"| {row.fault.title} | - | - | {row.note} | - | - | - |"
    points = ", ".join(one.fault for one in row.first if one.fault)
    cells = (
        f"{row.fault.title} ({points})" if points else row.fault.title,
        ", ".join("none" if one.code is None else str(one.code) for one in row.first),
        ", ".join(f"{one.after:.0f} s" for one in row.first),
        "; then ".join(dict.fromkeys(text for one in row.first for text in _said(one))),
        _left(row.first),
        f"{row.second.code}, {row.second.seconds:.0f} s; reused: {', '.join(row.second.reused) or 'nothing'}",
        _cell("; ".join(row.broken)) or "hold",
    )
    return f"| {' | '.join(cells)} |"


def _said(ended: Ended) -> list[str]:
    waiting = re.sub(r"^.*?(?=waiting)", "", ended.waiting)
    return [*([f"`{_cell(waiting)}`"] if waiting else []), _cell(ended.sees)]


def _left(runs: list[Ended]) -> str:
    files = sum(len(one.scratch) for one in runs[-1:])
    return f"{files} entries on scratch" if files else "nothing"


def _cell(text: str) -> str:
    """Return a text for a cell: no place of this machine, no long hash, no bar."""
    text = re.sub(r"/tmp/[\w./-]*/", "", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", text)
    text = re.sub(r'"127\.0\.0\.1", port \d+', '"HOST", port PORT', text)
    text = re.sub(r"[0-9a-f]{64}", lambda found: f"{found[0][:8]}...", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    return text.replace("|", "\\|").replace("\n", " ").replace("`", "'")[:260]


def write(rows: list[Row], baseline: Ended) -> None:
    """Put the table between the marks of docs/reliability.md; lines of faults that were not done now stay."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    old, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has no place for the table: it must hold {BEGIN!r} and {END!r}")
    new = {row.fault.name: line(row) for row in rows}
    lines = [told for fault in FAULTS.values() if (told := new.get(fault.name) or _line_of(fault, old))]
    head = HEAD.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        connections=CONNECTIONS,
        cores=os.cpu_count(),
        seconds=baseline.seconds,
        held=sum(told.endswith("| hold |") for told in lines),
        done=len(lines),
    )
    PAGE.write_text("\n".join([f"{before}{BEGIN}", head + "\n".join(lines), f"{END}{after}"]))


def _line_of(fault: Fault, table: str) -> str:
    """Return the line that an earlier run made for a fault."""
    return next((told for told in table.splitlines() if re.match(rf"\| {re.escape(fault.title)}( \(|  ?\|)", told)), "")


def main() -> int:
    """Do the cases, print a line for each as it is there, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(FAULTS), choices=list(FAULTS), metavar="NAME")
    parser.add_argument("--folder", type=Path, help="work here and leave it there")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    given = parser.parse_args()
    with contextlib.ExitStack() as cleanup:
        folder = given.folder or Path(
            cleanup.enter_context(
                tempfile.TemporaryDirectory(prefix="cybersec-mlops-faults-", ignore_cleanup_errors=True)
            )
        )
        folder.mkdir(exist_ok=True, parents=True)
        folder.chmod(0o755)  # as root, PostgreSQL is another account
        world = World(folder)
        cleanup.callback(world.stack.down)
        world.baseline = baseline = Case(world, "baseline").run()
        if baseline.code not in (0, 5):
            parser.exit(1, f"the undisturbed run failed: {baseline.stderr}")
        print(f"undisturbed: {baseline.code}, {baseline.seconds:.1f} s", flush=True)
        rows = []
        for name in given.only:
            rows.append(suffer(world, FAULTS[name]))
            print(f"{datetime.now(UTC):%H:%M:%S} {name} {line(rows[-1])}", flush=True)
            if given.write:
                write(rows[-1:], baseline)  # at once: it is a long way to the last one
        running = world.left_running()
        print(f"flow runs that Prefect takes for running: {running or 'none'}")
    return int(bool(running) or any(row.broken for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
