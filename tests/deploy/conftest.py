"""What deploy/ holds, parsed once."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def deploy() -> Path:
    """Return the folder deploy/."""
    return ROOT / "deploy"


@pytest.fixture(scope="session")
def render() -> ModuleType:
    """Return deploy/render.py as a module."""
    spec = importlib.util.spec_from_file_location("deploy_render", ROOT / "deploy" / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def plain_objects(deploy: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (file, object) for every object in deploy/k8s."""
    files = sorted((deploy / "k8s").rglob("*.yaml"))
    return [(str(path.relative_to(deploy)), made) for path in files for made in yaml.safe_load_all(path.read_text())]


class Pod:
    """A pod's specification, wherever it stands."""

    def __init__(self, where: str, labels: dict[str, str], spec: dict[str, Any]) -> None:
        self.where = where
        self.labels = labels
        self.spec = spec

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Init containers included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods_in(where: str, made: Any) -> Iterator[Pod]:
    """Find every pod template, at any depth."""
    if isinstance(made, dict):
        template = made.get("template")
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            yield Pod(where, template.get("metadata", {}).get("labels", {}), template["spec"])
        for inner in made.values():
            yield from pods_in(where, inner)
    elif isinstance(made, list):
        for inner in made:
            yield from pods_in(where, inner)


ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def broken_rules(pod: Pod) -> list[str]:
    """Check a pod against the Pod Security Standard "restricted", and against what this project asks for besides.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    spec, security = pod.spec, pod.spec.get("securityContext", {})
    rules = {
        "host namespaces": not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
        "volume types": all(set(volume) - {"name"} <= ALLOWED_VOLUMES for volume in spec.get("volumes", [])),
        "sized scratch": all("sizeLimit" in v["emptyDir"] for v in spec.get("volumes", []) if "emptyDir" in v),
        "runAsNonRoot": security.get("runAsNonRoot") is True and security.get("runAsUser", 0) != 0,
        "seccompProfile": security.get("seccompProfile") == {"type": "RuntimeDefault"},
        "sysctls": not security.get("sysctls"),
        "no token": spec.get("automountServiceAccountToken") is False,
        "no service links": spec.get("enableServiceLinks") is False,
    }
    for container in pod.containers:
        own, name = container.get("securityContext", {}), container["name"]
        limits = container.get("resources", {}).get("limits", {})
        rules |= {
            f"{name}: privileged": not own.get("privileged"),
            f"{name}: allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            f"{name}: capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            f"{name}: user": own.get("runAsUser", 1) != 0 and own.get("runAsNonRoot", True),
            f"{name}: seccompProfile": "seccompProfile" not in own,
            f"{name}: procMount": "procMount" not in own,
            f"{name}: host ports": not any("hostPort" in port for port in container.get("ports", [])),
            f"{name}: readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
            f"{name}: limits": {"cpu", "memory"} <= limits.keys(),
            f"{name}: image has a tag of its own": is_pinned(container["image"]),
        }
    return [f"{pod.where}: {rule}" for rule, holds in rules.items() if not holds]


def schema_error(made: dict[str, Any], version: str) -> str | None:
    """Say what the schema of a Kubernetes version has against an object; unknown fields count."""
    validator = import_module("kubernetes_validate")
    try:
        validator.validate(made, version, strict=True)
    except (validator.ValidationError, validator.SchemaNotFoundError) as error:
        return str(error)
    return None


def kubernetes_versions() -> list[str]:
    """Return every version that the chart allows and whose schema is at hand."""
    chart = yaml.safe_load((ROOT / "deploy/helm/cybersec-mlops/Chart.yaml").read_text())
    oldest = int(chart["kubeVersion"].removeprefix(">=1.").split(".")[0])
    known = import_module("kubernetes_validate.utils").all_versions()
    return sorted({f"1.{minor}" for minor in (int(version.split(".")[1]) for version in known) if minor >= oldest})


def is_pinned(image: str) -> bool:
    """Whether an image has a digest, or a tag that is not a moving one."""
    if "@sha256:" in image:
        return True
    tag = image.rpartition("/")[2].partition(":")[2]
    return any(letter.isdigit() for letter in tag) and tag not in ("latest", "3-latest")


class Rules:
    """The functions above, for tests: conftest.py cannot be imported."""

    pods_in = staticmethod(pods_in)
    broken = staticmethod(broken_rules)
    schema_error = staticmethod(schema_error)
    kubernetes_versions = staticmethod(kubernetes_versions)
    is_pinned = staticmethod(is_pinned)


@pytest.fixture(scope="session")
def rules() -> Rules:
    """Return what every manifest is held against."""
    return Rules()
