"""deploy/prefect.yaml, the automations and the work pool's template, read by Prefect's own models."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

FLOWS = {
    "full_mlops_flow",
    "data_ingestion_flow",
    "data_transformation_flow",
    "model_training_flow",
    "model_evaluation_flow",
    "batch_scoring_flow",
}


@pytest.fixture(scope="module")
def deployments(deploy: Path) -> list[dict[str, Any]]:
    """Return the deployments as `prefect deploy` reads them."""
    from prefect.cli.deploy._config import _load_deploy_configs_and_actions
    from rich.console import Console

    console = Console(record=True, file=None, quiet=True)
    loaded, actions = _load_deploy_configs_and_actions(deploy / "prefect.yaml", console=console)
    assert actions == {"build": [], "push": [], "pull": []}
    return loaded


@pytest.fixture(scope="module")
def template(deploy: Path) -> dict[str, Any]:
    """Return the work pool's base job template."""
    made: dict[str, Any] = json.loads((deploy / "helm" / "prefect-base-job-template.json").read_text())
    return made


def test_all_flows_are_deployed_by_module(deployments: list[dict[str, Any]]) -> None:
    found = [one["entrypoint"].split(":") for one in deployments]
    assert {flow for _, flow in found} == FLOWS
    assert all(module == f"cybersec_mlops.pipeline.{flow}" for module, flow in found)
    assert len({one["name"] for one in deployments}) == len(FLOWS)


def test_nothing_unknown_is_in_a_deployment(deploy: Path) -> None:
    from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel

    raw = yaml.safe_load((deploy / "prefect.yaml").read_text())
    assert set(raw) - {"definitions"} <= set(PrefectYamlModel.model_fields)
    for one in raw["deployments"]:
        assert set(one) <= set(DeploymentConfig.model_fields)


def test_parameters_are_those_of_the_flow(deployments: list[dict[str, Any]]) -> None:
    for one in deployments:
        module, name = one["entrypoint"].split(":")
        flow = getattr(importlib.import_module(module), name)
        given = one.get("parameters") or {}
        assert set(given) <= set(flow.parameters.properties)
        if given:
            flow.validate_parameters(given)


def test_one_daily_schedule_that_is_off(deployments: list[dict[str, Any]]) -> None:
    schedules = [schedule for one in deployments for schedule in one.get("schedules") or []]
    assert [(one["cron"], one["timezone"], one["active"]) for one in schedules] == [("17 2 * * *", "Etc/UTC", False)]


def test_never_two_at_once(deployments: list[dict[str, Any]]) -> None:
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy

    for one in deployments:
        assert one["concurrency_limit"]["limit"] == 1
        assert ConcurrencyLimitStrategy(one["concurrency_limit"]["collision_strategy"]).name == "ENQUEUE"


def test_job_variables_are_those_of_the_template(deployments: list[dict[str, Any]], template: dict[str, Any]) -> None:
    for one in deployments:
        assert one["work_pool"]["name"] == "mlops-kubernetes"
        assert set(one["work_pool"]["job_variables"]) <= set(template["variables"]["properties"])


@pytest.mark.parametrize("name", ["automations.yaml", "automation-failure-alert.example.yaml"])
def test_automations_are_valid(deploy: Path, name: str) -> None:
    from prefect.events.schemas.automations import AutomationCore, EventTrigger

    [raw] = yaml.safe_load((deploy / name).read_text())["automations"]
    made = AutomationCore.model_validate(raw)
    assert isinstance(made.trigger, EventTrigger)
    assert made.model_dump(include=set(raw), exclude_unset=True).keys() == raw.keys()
    known = {
        "heartbeat",
        "Completed",
        "Failed",
        "Cancelled",
        "Crashed",
        "AwaitingRetry",
        "Scheduled",
        "Paused",
        "Suspended",
    }
    assert {event.removeprefix("prefect.flow-run.") for event in made.trigger.expect} <= known


def test_a_lost_run_is_noticed_after_three_heartbeats(
    deploy: Path, template: dict[str, Any], plain_objects: list[tuple[str, dict[str, Any]]]
) -> None:
    [automation] = yaml.safe_load((deploy / "automations.yaml").read_text())["automations"]
    job = next(made for _, made in plain_objects if made["metadata"]["name"] == "cybersec-mlops-run")
    compose = yaml.safe_load((deploy / "compose.yaml").read_text())
    environments = [_values(job), _values(template["job_configuration"]["job_manifest"])]
    environments.append(compose["services"]["pipeline"]["environment"])
    for environment in environments:
        assert automation["trigger"]["within"] > 3 * int(environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])


def _values(job: dict[str, Any]) -> dict[str, str]:
    [container] = job["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def test_the_alert_speaks_of_the_parent_flow_alone(deploy: Path) -> None:
    [automation] = yaml.safe_load((deploy / "automation-failure-alert.example.yaml").read_text())["automations"]
    assert automation["trigger"]["match_related"] == {
        "prefect.resource.role": "flow",
        "prefect.resource.name": "full_mlops_flow",
    }


def filled(template: dict[str, Any]) -> dict[str, Any]:
    """Put the variables' defaults into the template, as a work pool does."""
    from prefect.utilities.templating import apply_values

    defaults = {name: one["default"] for name, one in template["variables"]["properties"].items() if "default" in one}
    given = defaults | {"image": "registry.example.internal/cybersec-mlops:0.1.0", "name": "run"}
    made: dict[str, Any] = apply_values(template["job_configuration"], given)
    return made


def test_the_template_makes_a_valid_restricted_job(template: dict[str, Any], rules: Any) -> None:
    job = filled(template)["job_manifest"]
    assert "{{" not in json.dumps(job)
    [pod] = rules.pods_in("prefect-base-job-template.json", job)
    assert rules.broken(pod) == []
    # Prefect's worker insists on these two in the pod, where Kubernetes does not know them and leaves them out.
    assert (pod.spec.pop("parallelism"), pod.spec.pop("completions")) == (1, 1)
    for version in rules.kubernetes_versions():
        assert rules.schema_error(job, version) is None


def test_every_placeholder_is_a_variable(template: dict[str, Any]) -> None:
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    required = {
        name for name in template["variables"]["required"] if "default" not in template["variables"]["properties"][name]
    }
    assert required == {"image"}


def test_the_template_is_the_job_of_the_chart(
    template: dict[str, Any], plain_objects: list[tuple[str, dict[str, Any]]]
) -> None:
    """One pod, started by three: a Job, a CronJob, a worker."""
    ours = next(made for _, made in plain_objects if made["metadata"]["name"] == "cybersec-mlops-run")
    theirs = filled(template)["job_manifest"]
    for field in ("activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        assert theirs["spec"][field] == ours["spec"][field]
    pod, expected = theirs["spec"]["template"]["spec"], ours["spec"]["template"]["spec"]
    same = (
        "securityContext",
        "restartPolicy",
        "terminationGracePeriodSeconds",
        "serviceAccountName",
        "enableServiceLinks",
    )
    assert {field: pod[field] for field in same} == {field: expected[field] for field in same}
    [container], [wanted] = pod["containers"], expected["containers"]
    assert container["securityContext"] == wanted["securityContext"]
    assert container["resources"] == wanted["resources"]
    assert pod["volumes"][0] == expected["volumes"][0]
    # The worker gives the API's URL and the flow run's id; the image's digest is part of its reference.
    of_the_worker = {"PREFECT_API_URL", "CYBERSEC_MLOPS_IDEMPOTENCY_KEY", "CYBERSEC_MLOPS_IMAGE_DIGEST"}
    described = [entry for entry in wanted["env"] if entry["name"] not in of_the_worker]
    assert json.loads(json.dumps(container["env"]).replace("prefect-job", "pipeline")) == described


def test_prefect_knows_every_setting_that_is_set(deploy: Path) -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    known = set(_get_settings_fields(Settings))
    texts = [
        path.read_text()
        for path in deploy.rglob("*")
        if path.suffix in (".yaml", ".json", ".tpl", "") and path.is_file()
    ]
    used = {name for text in texts for name in re.findall(r"\bPREFECT_[A-Z_]+\b", text)}
    ours = {"PREFECT_PASSWORD"}
    assert len(used) > 10
    assert used - ours - known == set()


@pytest.mark.parametrize("name", ["values-prefect-server.yaml", "values-prefect-worker.yaml"])
def test_the_values_for_prefects_charts_make_restricted_pods(deploy: Path, name: str) -> None:
    values = yaml.safe_load((deploy / "helm" / name).read_text())
    main = values["server"] if "server" in values else values["worker"]
    others = [values["migrations"]["securityContext"]] if "migrations" in values else []
    others += [main["initContainer"]["containerSecurityContext"]] if "initContainer" in main else []
    assert others
    assert main["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for security in (main["containerSecurityContext"], *others):
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["runAsNonRoot"] is True


def test_prefects_chart_brings_no_database_and_no_password(deploy: Path) -> None:
    values = yaml.safe_load((deploy / "helm" / "values-prefect-server.yaml").read_text())
    assert values["postgresql"]["enabled"] is False
    assert values["secret"] == {"create": False, "name": "prefect-server-database"}


def test_one_version_of_prefect_everywhere(deploy: Path, root: Path) -> None:
    [locked] = re.findall(r"^prefect==(\S+)", (root / "requirements" / "run.txt").read_text(), re.MULTILINE)
    texts = [path.read_text() for path in deploy.rglob("*.yaml")]
    named = {version for text in texts for version in re.findall(r"(?:prefect:|prefectTag: )(\d+\.\d+\.\d+)", text)}
    assert named == {locked}
