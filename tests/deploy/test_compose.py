"""deploy/compose.yaml: passwords in .env, loopback ports only, hardened, in agreement with the manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

KEYS = """image user entrypoint command environment tmpfs volumes ports stop_grace_period healthcheck depends_on
read_only cap_drop cap_add security_opt restart logging network_mode profiles shm_size"""


@pytest.fixture(scope="module")
def compose(deploy: Path) -> dict[str, Any]:
    """Return the parsed file."""
    made: dict[str, Any] = yaml.safe_load((deploy / "compose.yaml").read_text())
    return made


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return its services."""
    made: dict[str, dict[str, Any]] = compose["services"]
    return made


def test_its_keys_are_those_of_the_compose_specification(compose: dict[str, Any], services: dict[str, Any]) -> None:
    assert {key for key in compose if not key.startswith("x-")} == {"name", "services", "volumes"}
    known = set(KEYS.split())
    assert {key for service in services.values() for key in service} <= known
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in used if name.isalnum()} == set(compose["volumes"])
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            assert name in services
            healthy = condition["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in services[name]


def test_every_container_is_hardened(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
    root = {name for name, service in services.items() if service.get("user", "").startswith("0")}
    assert root == {"volume-owner"}
    assert services["volume-owner"]["network_mode"] == "none"


def test_images_are_pinned_and_the_same_as_in_kubernetes(
    services: dict[str, dict[str, Any]], plain_objects: list[tuple[str, dict[str, Any]]], rules: Any
) -> None:
    images = {service["image"] for service in services.values()} - {"${IMAGE:?}"}
    assert all(rules.is_pinned(image) for image in images)
    cluster = {
        container["image"]
        for _, made in plain_objects
        for pod in rules.pods_in("", made)
        for container in pod.containers
    }
    assert images == {image for image in cluster if image.startswith("docker.io/")}


def test_only_loopback_ports_are_published(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_is_in_the_file_and_each_is_required(deploy: Path) -> None:
    text = (deploy / "compose.yaml").read_text()
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET)\w*)([^}]*)\}", text)
    assert {default for _, default in secrets} == {":?"}
    assert not re.search(r"(?:PASSWORD|SECRET\w*): (?!\$\{)\S", text)
    assert not re.search(r"://[^/\s:@]+:(?!\$\{)[^/\s@]+@", text)


def test_the_example_environment_has_every_variable_and_no_password(deploy: Path) -> None:
    lines = (deploy / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = set(re.findall(r"\$\{(\w+)", (deploy / "compose.yaml").read_text()))
    assert set(given) == used
    assert {name for name, value in given.items() if re.search("PASSWORD|SECRET", name) and value} == set()


def test_the_environment_file_is_not_committed_nor_sent_to_the_builder(root: Path) -> None:
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert ignored[ignored.index("*") :][0] == "*"
    assert not any("env" in line for line in ignored if line.startswith("!"))


def test_the_pipeline_gets_what_the_job_gets(
    services: dict[str, dict[str, Any]], plain_objects: list[tuple[str, dict[str, Any]]]
) -> None:
    [job] = [made for _, made in plain_objects if made["metadata"]["name"] == "cybersec-mlops-run"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert services["pipeline"]["entrypoint"] == container["command"]
    in_cluster = {entry["name"] for entry in container["env"]}
    # Set by the image itself, or known to a cluster alone.
    elsewhere = {"HOME", "TMPDIR", "PREFECT_HOME", "CYBERSEC_MLOPS_HOME", "CYBERSEC_MLOPS_SCRATCH_DIR"}
    elsewhere |= {"CYBERSEC_MLOPS_POD_NAME", "CYBERSEC_MLOPS_IMAGE_DIGEST", "POLARS_MAX_THREADS", "OMP_NUM_THREADS"}
    assert set(services["pipeline"]["environment"]) - {"DO_NOT_TRACK"} == in_cluster - elsewhere


def test_databases_are_separate_and_the_owner_is_not_the_run(services: dict[str, dict[str, Any]], deploy: Path) -> None:
    prefect = services["prefect-server"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    run = services["pipeline"]["environment"]["CYBERSEC_MLOPS_DATABASE_URL"]
    owner = services["migrate"]["environment"]["CYBERSEC_MLOPS_DATABASE_URL"]
    assert prefect.endswith("/prefect")
    assert run.endswith("/audit")
    assert run.replace("audit:", "audit_owner:").replace("AUDIT_", "AUDIT_OWNER_") == owner
    assert services["migrate"]["command"][-2:] == ["--grant-role", "audit"]
    script = (deploy / "postgresql" / "initdb.sh").read_text()
    assert re.findall(r"CREATE DATABASE (\w+) OWNER (\w+);", script) == [
        ("prefect", "prefect"),
        ("audit", "audit_owner"),
    ]
    assert "GRANT SELECT, INSERT ON TABLES TO audit;" in script


def test_nobody_outside_is_told(services: dict[str, dict[str, Any]]) -> None:
    assert "-master.telemetry=false" in services["seaweedfs"]["command"]
    assert services["prefect-server"]["environment"]["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    for name in ("prefect-server", "pipeline"):
        assert services[name]["environment"]["DO_NOT_TRACK"] == "1"
