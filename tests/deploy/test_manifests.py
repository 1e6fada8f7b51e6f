"""deploy/k8s: valid on every Kubernetes that we support, restricted, without a secret in it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

Objects = list[tuple[str, dict[str, Any]]]

PLACEHOLDER = "REPLACE_ME"


def find(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    [found] = [made for _, made in objects if made["kind"] == kind and made["metadata"]["name"] == name]
    return found


def test_every_object_is_valid_on_every_supported_kubernetes(plain_objects: Objects, rules: Any) -> None:
    versions = rules.kubernetes_versions()
    assert len(versions) >= 5
    assert len(plain_objects) >= 15
    for where, made in plain_objects:
        for version in versions:
            assert rules.schema_error(made, version) is None, f"{where}: {made['kind']} on {version}"


def test_a_misspelt_field_is_found(plain_objects: Objects, rules: Any) -> None:
    job = copy.deepcopy(find(plain_objects, "Job", "cybersec-mlops-run"))
    job["spec"]["backofLimit"] = job["spec"].pop("backoffLimit")
    assert "backofLimit" in rules.schema_error(job, rules.kubernetes_versions()[-1])


def test_every_pod_is_restricted(plain_objects: Objects, rules: Any) -> None:
    pods = [pod for where, made in plain_objects for pod in rules.pods_in(where, made)]
    assert len(pods) == 5
    assert [broken for pod in pods for broken in rules.broken(pod)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("securityContext.runAsUser", 0),
        ("securityContext.seccompProfile", None),
        ("automountServiceAccountToken", True),
        ("containers.0.securityContext.readOnlyRootFilesystem", False),
        ("containers.0.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
        ("containers.0.image", "registry.example.internal/cybersec-mlops:latest"),
        ("containers.0.resources.limits", {"cpu": "1"}),
        ("volumes.0", {"name": "scratch", "hostPath": {"path": "/"}}),
        ("volumes.0", {"name": "scratch", "emptyDir": {}}),
    ],
)
def test_the_rules_find_what_they_are_for(plain_objects: Objects, rules: Any, path: str, value: object) -> None:
    job = copy.deepcopy(find(plain_objects, "Job", "cybersec-mlops-run"))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = job["spec"]["template"]["spec"]
    for part in parents:
        at = at[part]
    at[last] = value
    [pod] = rules.pods_in("changed", job)
    assert len(rules.broken(pod)) == 1


def test_the_namespace_refuses_what_is_not_restricted(plain_objects: Objects) -> None:
    labels = find(plain_objects, "Namespace", "mlops")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {made["metadata"].get("namespace", "mlops") for _, made in plain_objects} == {"mlops"}


def test_no_manifest_holds_a_secret(plain_objects: Objects) -> None:
    for where, made in plain_objects:
        if made["kind"] == "Secret":
            assert where.endswith(".example.yaml")
            assert "data" not in made
            values = {key: value for key, value in made["stringData"].items() if key != "AWS_ACCESS_KEY_ID"}
            assert all(PLACEHOLDER in value for value in values.values()), where
            continue
        text = yaml.safe_dump(made)
        assert not re.search(r"://[^/\s:@]+:[^/\s:@]+@", text), f"{where}: a password in a URL"
        for variable in re.findall(r"name: (\w*(?:PASSWORD|SECRET|TOKEN|DATABASE_URL|CONNECTION_URL|AUTH)\w*)\n", text):
            assert re.search(rf"name: {variable}\n\s+valueFrom:\n\s+secretKeyRef:", text), f"{where}: {variable}"


def test_every_secret_that_is_used_is_described(plain_objects: Objects) -> None:
    described = {
        (made["metadata"]["name"], key)
        for _, made in plain_objects
        if made["kind"] == "Secret"
        for key in made["stringData"]
    }
    text = "\n".join(yaml.safe_dump(made) for _, made in plain_objects)
    used = set(re.findall(r"secretKeyRef:\n\s+key: (\S+)\n\s+name: (\S+)", text))
    assert used
    assert {(name, key) for key, name in used} <= described
    run = yaml.safe_dump(find(plain_objects, "Job", "cybersec-mlops-run"))
    assert "cybersec-mlops-database-owner" not in run, "a run must not be able to change the audit"


def test_what_the_exit_codes_do(plain_objects: Objects) -> None:
    from cybersec_mlops import errors

    spec = find(plain_objects, "Job", "cybersec-mlops-run")["spec"]
    actions = {
        code: rule["action"]
        for rule in spec["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", [])
    }
    assert actions == {
        errors.ConfigError.exit_code: "FailJob",
        errors.DataError.exit_code: "FailJob",
        errors.GateError.exit_code: "FailJob",
        errors.PlatformError.exit_code: "Count",
    }
    conditions = [rule for rule in spec["podFailurePolicy"]["rules"] if "onPodConditions" in rule]
    assert [(rule["action"], rule["onPodConditions"][0]["type"]) for rule in conditions] == [
        ("Ignore", "DisruptionTarget")
    ]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # else Kubernetes refuses a podFailurePolicy
    assert all(rule["onExitCodes"]["containerName"] == "pipeline" for rule in spec["podFailurePolicy"]["rules"][::2])


def test_a_job_ends_by_itself(plain_objects: Objects) -> None:
    for _, made in plain_objects:
        if made["kind"] == "Job":
            assert made["spec"]["activeDeadlineSeconds"] > 0
            assert made["spec"]["ttlSecondsAfterFinished"] > 0


def test_the_environment_is_the_one_that_the_settings_read(plain_objects: Objects) -> None:
    from cybersec_mlops.config import Settings

    job = find(plain_objects, "Job", "cybersec-mlops-run")
    env = {entry["name"]: entry for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    known = {f"CYBERSEC_MLOPS_{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in env if name.startswith("CYBERSEC_MLOPS_")}
    assert ours - known == {"CYBERSEC_MLOPS_POD_NAME"}
    assert env["CYBERSEC_MLOPS_IDEMPOTENCY_KEY"]["valueFrom"]["fieldRef"]["fieldPath"] == (
        "metadata.labels['batch.kubernetes.io/controller-uid']"
    )
    assert env["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"]["value"] == "false"


def test_the_configuration_is_one_that_the_pipeline_accepts(plain_objects: Objects, tmp_path: Path) -> None:
    from cybersec_mlops.config import RunSpec

    path = tmp_path / "run.toml"
    path.write_text(find(plain_objects, "ConfigMap", "cybersec-mlops")["data"]["run.toml"])
    assert RunSpec.load(path).sources == ("s3://logs/zeek/",)


def test_a_pod_reaches_its_services_and_nothing_else(plain_objects: Objects, rules: Any) -> None:
    policy = find(plain_objects, "NetworkPolicy", "cybersec-mlops")["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    assert policy["ingress"] == []
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"])
    reached = {
        (rule["to"][0]["podSelector"]["matchLabels"].get("app.kubernetes.io/name"), rule["ports"][0]["port"])
        for rule in policy["egress"][1:]
    }
    services = {
        (made["spec"]["selector"]["app.kubernetes.io/name"], made["spec"]["ports"][0]["port"])
        for _, made in plain_objects
        if made["kind"] == "Service"
    }
    assert reached == services
    for name in ("cybersec-mlops-run", "cybersec-mlops-migrate"):
        [pod] = rules.pods_in(name, find(plain_objects, "Job", name))
        assert selects(policy["podSelector"], pod.labels)
    assert not selects(policy["podSelector"], {"app.kubernetes.io/instance": "cybersec-mlops"})


def test_the_policy_holds_for_the_pods_of_a_prefect_worker(plain_objects: Objects, deploy: Path) -> None:
    template = json.loads((deploy / "helm" / "prefect-base-job-template.json").read_text())
    labels = template["job_configuration"]["job_manifest"]["spec"]["template"]["metadata"]["labels"]
    by_the_worker = {f"app.kubernetes.io/{name}": "prefect" for name in ("name", "managed-by", "part-of", "version")}
    selector = find(plain_objects, "NetworkPolicy", "cybersec-mlops")["spec"]["podSelector"]
    assert selects(selector, labels | by_the_worker)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    listed = all(labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))
    return listed and selector["matchLabels"].items() <= labels.items()


def test_every_service_finds_its_pods_and_its_policy(plain_objects: Objects, rules: Any) -> None:
    pods = [pod for where, made in plain_objects for pod in rules.pods_in(where, made)]
    for _, made in plain_objects:
        if made["kind"] != "Service":
            continue
        name, [port] = made["metadata"]["name"], made["spec"]["ports"]
        [pod] = [pod for pod in pods if made["spec"]["selector"].items() <= pod.labels.items()]
        assert port["targetPort"] in [named["name"] for named in pod.containers[0]["ports"]]
        policy = find(plain_objects, "NetworkPolicy", name)["spec"]
        assert policy["podSelector"]["matchLabels"] == made["spec"]["selector"]
        assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["port"]}]


def test_the_database_script_is_the_one_of_compose(plain_objects: Objects, deploy: Path) -> None:
    inlined = find(plain_objects, "ConfigMap", "postgresql-initdb")["data"]["initdb.sh"]
    assert inlined == (deploy / "postgresql" / "initdb.sh").read_text()
