"""Labels, services and uids that somebody on the network wrote, through the whole pipeline: text in every output."""

from __future__ import annotations

import json
import re
from itertools import cycle
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cybersec_mlops.cli import app
from cybersec_mlops.config import RunSpec
from cybersec_mlops.hidden import HIDDEN
from cybersec_mlops.pipeline.batch_scoring_flow import batch_scoring_flow
from cybersec_mlops.pipeline.full_mlops_flow import full_mlops_flow
from cybersec_mlops.pipeline.phase import new_run_id
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.simulate.simulate import simulate

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]

EVIL = (
    "=cmd|'/c calc'!A1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b]0;owned\x07\x1b[31mred\x1b[2J",
    "right\u202eleft\u200b\ufeff",
    "[link](javascript:alert(1)) | a | b |\n# head [bold]",
    "nul\0byte",
    "{{7*7}}${7*7}",
    "long" * 2_500,
)


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    """Return a folder with a labelled day of which every seventh connection has hostile texts."""
    simulate(tmp_path / "day", connections=6000, hours=6.0, seed=3, attack_fraction=0.05, format="zeek-json")
    evil, folder = cycle(EVIL), tmp_path / "poisoned"
    folder.mkdir()
    for number, path in enumerate(sorted((tmp_path / "day").rglob("*.log"))):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows[::7]:
            row |= {name: next(evil) for name in ("service", "history", "conn_state")} | {
                "uid": row["uid"] + next(evil)
            }
        for row in rows:
            row |= {"detailedlabel": next(evil)} if row["label"] == "Malicious" else {}
        rows[-1]["id.orig_h"] = next(evil)
        (folder / f"=1+1;<b>\x1b[31m{number}.log").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout + done.stderr


def test_in_every_output_hostile_text_is_text(
    prefect_api: str, platform: Platform, poisoned: Path, quick_spec: RunSpec, tmp_path: Path
) -> None:
    run_id, out = new_run_id(), tmp_path / "alerts.ndjson"
    spec = quick_spec.model_copy(update={"sources": (str(poisoned),)})
    full_mlops_flow(spec, run_id)
    platform.registry.set_alias("day", "champion", 1, run_id="by-hand", reason="a test")
    given = {"sources": (str(poisoned),), "scoring": {"out": str(out), "model": "day@champion"}}
    batch_scoring_flow(RunSpec.parse(given, where="the test"), new_run_id())

    written = {
        key: platform.layers.eval.get_bytes(key).decode()
        for key, _ in platform.layers.eval.list("")
        if key.endswith((".html", ".md"))
    }
    html = [text for key, text in written.items() if key.endswith(".html")]
    assert len(html) == 1
    assert "&lt;script&gt;alert(1)" in html[0]
    assert not re.search("<script|<img src=x|<b>", html[0])
    (card,) = (text for key, text in written.items() if key.endswith(".md"))
    assert "&lt;script&gt;" in card
    assert "](javascript" not in card
    alerts = out.read_text()
    assert "script" in alerts
    assert alerts.isascii()
    told = [
        shown(*command)
        for command in (("show", run_id), ("inspect", str(poisoned)), ("runs",), ("models", "list", "day"))
    ]
    for text in (*html, card, alerts, *told):
        assert not re.search(f"[{HIDDEN}]", text)
