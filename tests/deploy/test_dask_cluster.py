"""deploy/dask-cluster.example.yaml: what is Kubernetes' own in it is valid and restricted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]


@pytest.fixture(scope="module")
def objects(deploy: Path) -> dict[str, dict[str, Any]]:
    made = yaml.safe_load_all((deploy / "dask-cluster.example.yaml").read_text())
    return {one["kind"]: one for one in made}


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_its_pods_are_valid_and_restricted(role: str, objects: dict[str, dict[str, Any]], rules: Any) -> None:
    spec = objects["DaskCluster"]["spec"][role]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": role}, "spec": spec}
    for version in rules.kubernetes_versions():
        assert rules.schema_error(pod, version) is None
    (found,) = rules.pods_in(role, {"template": {"metadata": {}, "spec": spec}})
    assert rules.broken(found) == []


def test_its_service_and_policy_are_valid(objects: dict[str, dict[str, Any]], rules: Any) -> None:
    cluster = objects["DaskCluster"]["spec"]["scheduler"]["service"]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "scheduler"}, "spec": cluster}
    for version in rules.kubernetes_versions():
        assert rules.schema_error(service, version) is None
        assert rules.schema_error(objects["NetworkPolicy"], version) is None


def test_only_the_pipeline_and_the_cluster_itself_get_in(objects: dict[str, dict[str, Any]]) -> None:
    (rule,) = objects["NetworkPolicy"]["spec"]["ingress"]
    allowed = [peer["podSelector"]["matchLabels"] for peer in rule["from"]]
    name = objects["DaskCluster"]["metadata"]["name"]
    assert allowed == [{"dask.org/cluster-name": name}, {"app.kubernetes.io/component": "pipeline"}]
