"""The entry point as the container runs it: unprivileged, read-only, only the declared environment, on real servers.

What is declared is read from deploy/Dockerfile (ENV) and deploy/k8s/job.yaml (env, command, args, mounts): a variable
that is missing there is missing here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.services import Production

from cybersec_mlops import errors
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.stack.seaweedfs import SeaweedFS
from cybersec_mlops.storage.objects import ObjectStore

SMALL_MODEL = "trees = 20\nepochs = 2\nprototypes = 32\n"
"""What is tested here is the way, not the model."""
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("services")]


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    document: dict[str, Any]
    stderr: str


Container = Callable[..., Ended]


@pytest.fixture(scope="module")
def image_environment(deploy: Path) -> dict[str, str]:
    """Return the environment that the image sets."""
    [declared] = re.findall(r"^ENV (PATH=(?:.*\\\n)*.*)$", (deploy / "Dockerfile").read_text(), re.MULTILINE)
    found = dict(re.findall(r"(\w+)=(\S+)", declared))
    return found | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "CYBERSEC_MLOPS_GIT_COMMIT": "0123456"}


@pytest.fixture
def container(
    tmp_path: Path,
    root: Path,
    plain_objects: list[tuple[str, dict[str, Any]]],
    image_environment: dict[str, str],
    seaweedfs: SeaweedFS,
    postgres_url: str,
    production: Production,
) -> Container:
    """Return a function that runs the Job's container."""
    if not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user namespaces")
    made = {(one["kind"], one["metadata"]["name"]): one for _, one in plain_objects}
    [declared] = made["Job", "cybersec-mlops-run"]["spec"]["template"]["spec"]["containers"]
    secrets = {**seaweedfs.environment(), "CYBERSEC_MLOPS_DATABASE_URL": postgres_url}
    here = {
        "AWS_ENDPOINT_URL": seaweedfs.environment()["AWS_ENDPOINT_URL"],
        "PREFECT_API_URL": production.environment["PREFECT_API_URL"],
        "CYBERSEC_MLOPS_STORE_URL": f"s3://{tmp_path.name.replace('_', '-')[-20:].strip('-')}-{{layer}}",
    }
    places: list[str | Path] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", sys.base_prefix, sys.prefix, root / "src"]
    (tmp_path / "config").mkdir()
    configuration = made["ConfigMap", "cybersec-mlops"]["data"]["run.toml"]
    (tmp_path / "config" / "run.toml").write_text(configuration.replace("[training]\n", f"[training]\n{SMALL_MODEL}"))
    (tmp_path / "logs").mkdir()
    new_root = tmp_path / "root"
    new_root.mkdir()

    def run(*, script: str | None = None, **overridden: str) -> Ended:
        environment = image_environment | {
            entry["name"]: value_of(entry, secrets, uid=f"uid-{tmp_path.name}") for entry in declared["env"]
        }
        command = [*declared["command"], *declared["args"]] if script is None else ["python", "-c", script]
        sandbox: list[str | Path] = [
            "/bin/sh",
            Path(__file__).with_name("sandbox.sh"),
            new_root,
            tmp_path / "config",
            tmp_path / "logs",
        ]
        ended = subprocess.run(
            [*UNSHARE, *sandbox, *places, "--", *command],
            env=environment | here | overridden,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        lines = ended.stdout.splitlines()
        return Ended(ended.returncode, json.loads(lines[-1]) if lines else {}, ended.stderr)

    return run


def value_of(entry: dict[str, Any], secrets: dict[str, str], *, uid: str) -> str:
    """Give a variable of the pod what Kubernetes would give it."""
    source = entry.get("valueFrom", {})
    if "secretKeyRef" in source:
        return secrets[source["secretKeyRef"]["key"]]
    if "resourceFieldRef" in source:
        return "2"
    if "fieldRef" in source:
        return uid if "controller-uid" in source["fieldRef"]["fieldPath"] else "cybersec-mlops-run-x7k2p"
    return str(entry["value"])


def test_the_sandbox_is_one(container: Container, image_environment: dict[str, str]) -> None:
    probe = """
import json, os, pathlib, socket, tempfile
def refused(action):
    try: action()
    except OSError as error: return error.strerror
    return None
print(json.dumps({
    "uid": os.getuid(), "root": sorted(os.listdir("/")), "home": os.environ["HOME"], "temp": tempfile.gettempdir(),
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")],
    "writes": {place: refused(lambda: (pathlib.Path(place) / "x").write_text("x")) for place in
               ("/", "/work", "/tmp", "/usr", "/etc", "/etc/cybersec-mlops", "/logs", "/scratch")},
    "environment": sorted(os.environ),
}))
"""
    seen = container(script=probe).document
    assert seen["uid"] == 10001
    assert seen["capabilities"] == ["0" * 16]
    assert seen["home"] == "/scratch/home"
    assert seen["temp"] == "/scratch"
    assert "home" not in seen["root"]
    assert set(seen["environment"]) >= {*image_environment, "CYBERSEC_MLOPS_DATABASE_URL", "AWS_ENDPOINT_URL"}
    assert not {"USER", "LOGNAME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "PYTHONPATH"} & set(seen["environment"])
    assert [place for place, error in seen["writes"].items() if error is None] == ["/scratch"]


def test_a_run_leaves_everything_in_the_services_and_a_second_one_reuses_it(
    container: Container, seaweedfs: SeaweedFS, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    AuditLog.open(postgres_url)  # what the migration's Job does
    _upload_traffic(tmp_path)

    first = container()
    assert first.code == 0, first.stderr[-3000:]
    assert first.document["status"] == "completed"
    assert {phase["status"] for phase in first.document["phases"].values()} == {"completed"}
    assert first.document["phases"]["transformation"]["rows"] == 4000
    events = AuditLog.open(postgres_url, migrate=False).events(run_id=first.document["run_id"])
    assert {event.phase for event in events} >= {"run", "ingestion", "transformation", "training", "evaluation"}
    assert all(first.document["phases"][name]["uri"].startswith("s3://") for name in first.document["phases"])

    second = container(CYBERSEC_MLOPS_IDEMPOTENCY_KEY="another-job")
    assert second.code == 0, second.stderr[-3000:]
    assert all(phase["reused"] for phase in second.document["phases"].values())
    secrets = {seaweedfs.environment()["AWS_SECRET_ACCESS_KEY"], re.findall(r":([^:@/]+)@", postgres_url)[0]}
    for ended in (first, second):
        assert not any(secret in ended.stderr + json.dumps(ended.document) for secret in secrets)


def _upload_traffic(folder: Path) -> None:
    made = simulate(folder / "traffic", connections=4000, hours=4.0, seed=5, attack_fraction=0.05)
    logs = ObjectStore.from_url("s3://logs")
    logs.ensure()
    for path in made.files:
        logs.put_file(f"zeek/{path.name}", path, overwrite=True)


def test_a_wrong_configuration_fails_at_once(container: Container, tmp_path: Path) -> None:
    (tmp_path / "config" / "run.toml").write_text('sourcse = ["s3://logs/zeek/"]\n')
    ended = container(PREFECT_API_URL="http://127.0.0.1:9/api")  # not even asked
    assert ended.code == errors.ConfigError.exit_code
    assert ended.document["error"]["kind"] == "config"
    assert "sourcse" in ended.document["error"]["message"]
    assert "Traceback" not in ended.stderr


def test_refused_credentials_are_worth_another_try(container: Container, postgres_url: str) -> None:
    AuditLog.open(postgres_url)
    ended = container(AWS_SECRET_ACCESS_KEY="wrong")
    assert ended.code == errors.PlatformError.exit_code
    assert ended.document["error"]["kind"] == "platform"
    assert "wrong" not in ended.stderr.replace("wrong key", "")
