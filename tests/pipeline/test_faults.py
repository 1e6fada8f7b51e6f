"""Some of the faults of docs/reliability.md, on real servers; all of them are done by benchmarks/faults.py."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.services import Production

from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.stack.seaweedfs import SeaweedFS
from cybersec_mlops.storage.objects import ObjectStore

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("services")]

PROGRAM = Path(sysconfig.get_path("scripts")) / "cybersec-mlops"
CONFIG = """
[training]
trees = {trees}
epochs = 2
prototypes = 32
[evaluation]
resamples = 50
leakage_rows = 1000
"""


@pytest.fixture
def dataset() -> str:
    """Return a name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def command(synthetic_day: Path, tmp_path: Path, dataset: str) -> tuple[str | Path, ...]:
    """Return a small run's command."""
    (tmp_path / "run.toml").write_text(CONFIG.format(trees=20))
    return (PROGRAM, "run", str(synthetic_day), "--dataset", dataset, "--config", str(tmp_path / "run.toml"), "--json")


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Wait for a run; return exit code, document and what the terminal showed."""
    with process:
        out, err = process.communicate(timeout=250)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out.splitlines()[-1]), err


def left_on_scratch(production: Production) -> list[Path]:
    return list((production.local / "scratch").iterdir())


def test_what_is_away_or_refuses_is_told_in_one_sentence_within_its_limit(
    production: Production, command: tuple[str | Path, ...], tmp_path: Path, closed_port: int
) -> None:
    url = production.environment["CYBERSEC_MLOPS_DATABASE_URL"]
    away = re.sub(r":\d+/", f":{closed_port}/", url)
    own = SeaweedFS.start(tmp_path)
    try:
        no_database = production.start(*command, CYBERSEC_MLOPS_DATABASE_URL=away)
        no_store = production.start(*command, **own.environment(), CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S="2")
        wrong_secret = production.start(*command, AWS_SECRET_ACCESS_KEY="hunter2hunter2")
        wrong_password = production.start(
            *command, CYBERSEC_MLOPS_DATABASE_URL=re.sub(r":[^:@]+@", ":hunter2@", url, count=1)
        )
        assert no_store.stderr is not None
        for line in no_store.stderr:
            if line.startswith("transformation ..."):
                break
    finally:
        own.stop(graceful=False)
    for process, reason in (
        (no_store, "the connection was refused"),
        (wrong_secret, "the credentials were refused"),
        (wrong_password, "password authentication failed"),
        (no_database, "refused"),
    ):
        code, document, err = ended(process)
        assert (code, document["error"]["kind"]) == (4, "platform"), err
        assert reason in document["error"]["message"]
        assert document["error"]["hint"]
        assert "hunter2" not in err + json.dumps(document)
        if process is no_database:
            assert "waiting for the database" in err
    assert left_on_scratch(production) == []


def test_two_runs_of_one_job_at_once_make_one_result_and_damage_to_it_is_never_used(
    production: Production,
    command: tuple[str | Path, ...],
    dataset: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in production.environment.items():
        monkeypatch.setenv(name, value)
    both = [ended(process) for process in [production.start(*command), production.start(*command)]]
    assert all(code in (0, 5) for code, _, _ in both), both
    (_, one, _), (_, other, _) = both
    for phase, facts in {"transformation": ("rows", "uri", "snapshot"), "training": ("sha256", "version")}.items():
        assert [one["phases"][phase][fact] for fact in facts] == [other["phases"][phase][fact] for fact in facts]
    assert one["metrics"] == other["metrics"]

    silver = ObjectStore.from_url("s3://mlops-silver")
    manifest = silver.get_bytes(silver.key(one["phases"]["transformation"]["uri"])).decode()
    part = next(key for key, _ in silver.list("data") if Path(key).stem in manifest)
    data = bytearray(silver.get_bytes(part))
    data[len(data) // 2] ^= 1
    silver.put_bytes(part, bytes(data), overwrite=True)

    (tmp_path / "other.toml").write_text(CONFIG.format(trees=21))
    read = production.start(PROGRAM, "train", one["run_id"], "--config", str(tmp_path / "other.toml"), "--json")
    code, document, _ = ended(read)
    assert (code, document["error"]["kind"]) == (4, "platform")
    assert "does not match its SHA-256" in document["error"]["message"]
    code, healed, _ = ended(production.start(*command))
    assert code in (0, 5)
    assert [healed["phases"][phase]["reused"] for phase in ("transformation", "training")] == [False, True]
    assert silver.get_bytes(part) != bytes(data)

    audit = AuditLog.open(production.environment["CYBERSEC_MLOPS_DATABASE_URL"], migrate=False)
    assert audit.verify() == []
    begun = {(event.run_id, event.phase, event.attempt) for event in audit.events() if event.dataset == dataset}
    done = {
        (event.run_id, event.phase, event.attempt)
        for event in audit.events()
        if event.dataset == dataset and event.status != "started"
    }
    assert begun == done
    assert left_on_scratch(production) == []
