"""deploy/Dockerfile and .dockerignore, by simple assertions; docs/kubernetes.md has the measured size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

Instruction = tuple[str, str]


@pytest.fixture(scope="module")
def instructions(deploy: Path) -> list[Instruction]:
    """Return (keyword, rest) of every instruction, continuation lines joined."""
    lines = [line for line in (deploy / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def of(instructions: list[Instruction], keyword: str) -> list[str]:
    return [rest for found, rest in instructions if found == keyword]


def final(instructions: list[Instruction]) -> list[Instruction]:
    return instructions[max(at for at, (keyword, _) in enumerate(instructions) if keyword == "FROM") :]


def test_no_syntax_line(deploy: Path) -> None:
    """It would have to be fetched from a registry before anything else."""
    assert not re.search(r"^#\s*syntax\s*=", (deploy / "Dockerfile").read_text(), re.MULTILINE)


def test_two_stages_from_one_base_that_can_be_pinned(instructions: list[Instruction]) -> None:
    assert instructions[0] == ("ARG", "PYTHON_IMAGE=docker.io/library/python:3.12-slim")
    assert of(instructions, "FROM") == ["${PYTHON_IMAGE} AS builder", "${PYTHON_IMAGE} AS final"]


def test_every_package_comes_by_its_hash(instructions: list[Instruction]) -> None:
    installs = [command for rest in of(instructions, "RUN") for command in rest.split("&&") if " install " in command]
    assert len(installs) == 2
    locked, own = installs
    assert "--require-hashes --only-binary :all: -r /build/requirements.txt" in locked
    assert "--no-deps --no-index" in own
    assert ("ARG", "REQUIREMENTS=run") in instructions
    assert ("COPY", "requirements/${REQUIREMENTS}.txt /build/requirements.txt") in instructions


def test_nothing_is_fetched_by_the_dockerfile_itself(instructions: list[Instruction], deploy: Path) -> None:
    assert of(instructions, "ADD") == []
    assert not re.search(r"https?://|curl|wget|apt-get", " ".join(of(instructions, "RUN")))
    assert "latest" not in (deploy / "Dockerfile").read_text()


def test_the_result_has_no_installer_and_runs_as_a_number(instructions: list[Instruction]) -> None:
    last = final(instructions)
    assert of(last, "USER") == ["10001:10001"]
    [run] = of(last, "RUN")
    assert "pip uninstall" in run
    assert "ensurepip" in run
    assert of(last, "COPY") == ["--from=builder /opt/venv /opt/venv"]
    assert of(last, "EXPOSE") == []
    assert of(last, "VOLUME") == ['["/scratch"]']


def test_the_user_is_the_one_of_the_pod(
    instructions: list[Instruction], plain_objects: list[tuple[str, dict[str, object]]]
) -> None:
    job = str(next(made for _, made in plain_objects if made["kind"] == "Job"))
    [user] = of(instructions, "USER")
    assert f"'runAsUser': {user.split(':')[0]}, 'runAsGroup': {user.split(':')[1]}" in job


def test_all_that_is_written_goes_to_scratch(instructions: list[Instruction]) -> None:
    [environment] = of(final(instructions), "ENV")
    variables = dict(re.findall(r"(\w+)=(\S+)", environment))
    written = ("HOME", "TMPDIR", "MPLCONFIGDIR", "PREFECT_HOME", "CYBERSEC_MLOPS_HOME", "CYBERSEC_MLOPS_SCRATCH_DIR")
    assert all(variables[name].startswith("/scratch") for name in written)
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert variables["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"
    assert variables["DO_NOT_TRACK"] == "1"
    assert variables["CYBERSEC_MLOPS_GIT_COMMIT"] == "${REVISION}"


def test_labels_tell_version_and_commit(instructions: list[Instruction]) -> None:
    [labels] = of(instructions, "LABEL")
    named = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', labels))
    assert named["version"] == "${VERSION}"
    assert named["revision"] == "${REVISION}"
    assert named["licenses"] == "Apache-2.0"


def test_the_command_is_the_pipelines(instructions: list[Instruction]) -> None:
    [command] = of(instructions, "CMD")
    assert command.startswith('["python", "-m", "cybersec_mlops.pipeline.full_mlops_flow"')


def test_only_what_is_copied_is_sent_to_the_builder(root: Path, instructions: list[Instruction]) -> None:
    lines = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name.rstrip("/") for rest in of(instructions, "COPY") if "--from" not in rest for name in rest.split()[:-1]
    }
    locks = {"requirements/run.txt", "requirements/mlflow.txt"}
    assert all((root / lock).is_file() for lock in locks)
    assert allowed == copied - {"requirements/${REQUIREMENTS}.txt"} | locks
