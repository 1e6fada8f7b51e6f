"""The container's command: its arguments, one document, an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cybersec_mlops.pipeline.scoring_entrypoint import main
from cybersec_mlops.pipeline.scoring_result import scoring_document

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


def test_it_says_in_one_document_why_it_cannot(prefect_api: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CYBERSEC_MLOPS_")}
    environment |= {"CYBERSEC_MLOPS_HOME": str(tmp_path), "PREFECT_API_URL": prefect_api}
    command = [sys.executable, "-m", "cybersec_mlops.pipeline.batch_scoring_flow", "--per-day", "5", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == set(scoring_document("", []))
    assert "no model to score with" in document["error"]["message"]


def test_what_it_does_not_know_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--test", "x"])
    assert caught.value.code == 2
