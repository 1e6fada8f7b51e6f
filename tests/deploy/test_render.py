"""The chart, rendered by Helm's own engine, and the plain manifests that are made from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

DIGEST = "sha256:" + "a" * 64
EVERYTHING: dict[str, Any] = {
    "image": {"digest": DIGEST, "pullSecrets": ["registry"]},
    "extraArgs": ["s3://logs/other/"],
    "store": {"ca": {"configMap": "store-ca"}},
    "prefect": {"existingSecret": "prefect-auth"},
    "migration": {"existingSecret": ""},
    "cronJob": {"enabled": True},
    "scratch": {"storageClassName": "fast"},
    "extraEnv": [{"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"}],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "networkPolicy": {
        "extraEgress": [
            {"to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}], "ports": [{"protocol": "TCP", "port": 443}]},
        ]
    },
    "serviceAccount": {"annotations": {"example.org/owner": "security"}},
    "job": {"annotations": {"example.org/ticket": "1"}},
    "podLabels": {"team": "security"},
    "podAnnotations": {"example.org/note": "nightly"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "batch", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "batch",
    "runtimeClassName": "gvisor",
}


@pytest.fixture(scope="session")
def engine(render: ModuleType) -> ModuleType:
    """Return the renderer, where Helm's engine is installed."""
    pytest.importorskip(
        "helm_sdkpy", reason="Helm's engine is absent: pip install --no-deps --ignore-requires-python helm-sdkpy"
    )
    return render


@pytest.fixture(scope="session")
def defaults(engine: ModuleType) -> Any:
    """Return the chart as it is."""
    return engine.render()


@pytest.fixture(scope="session")
def everything(engine: ModuleType) -> Any:
    """Return the chart with all that it can have."""
    return engine.render(EVERYTHING)


def objects_of(rendered: Any) -> list[dict[str, Any]]:
    return [made for text in rendered.documents.values() for made in yaml.safe_load_all(text)]


def test_plain_manifests_are_made_from_the_chart_as_it_is(render: ModuleType) -> None:
    written = render.written_manifests()
    assert sorted(written) == [
        "configmap.yaml",
        "job.yaml",
        "migration.yaml",
        "networkpolicy.yaml",
        "serviceaccount.yaml",
    ]
    digest = render.chart_digest()
    stale = [name for name, text in written.items() if f"# chart sha256:{digest}\n" not in text]
    assert stale == [], "run `python deploy/render.py`"


def test_plain_manifests_are_what_helm_renders(engine: ModuleType) -> None:
    assert engine.plain_manifests() == engine.written_manifests()


def test_the_digest_sees_every_template(render: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = render.chart_digest()
    copy = tmp_path / "chart"
    for path in render.CHART.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(render.CHART)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(render.CHART)).write_bytes(path.read_bytes())
    monkeypatch.setattr(render, "CHART", copy)
    assert render.chart_digest() == before
    for changed in (copy / "values.yaml", *(copy / "templates").glob("_*.tpl"), copy / "templates" / "job.yaml"):
        text = changed.read_text()
        changed.write_text(text + "\n")
        assert render.chart_digest() != before, changed.name
        changed.write_text(text)


def test_everything_switched_on_is_valid_and_restricted(everything: Any, rules: Any) -> None:
    made = objects_of(everything)
    assert sorted(one["kind"] for one in made) == [
        "ConfigMap",
        "CronJob",
        "Job",
        "Job",
        "NetworkPolicy",
        "ServiceAccount",
    ]
    for one in made:
        for version in rules.kubernetes_versions():
            assert rules.schema_error(one, version) is None
    pods = [pod for one in made for pod in rules.pods_in(one["kind"], one)]
    assert len(pods) == 3
    assert [broken for pod in pods for broken in rules.broken(pod)] == []
    for pod in pods:
        assert pod.containers[0]["image"].endswith(f"@{DIGEST}")
        assert pod.spec["nodeSelector"] == {"disk": "ssd"}


def test_the_cron_job_runs_the_same_pod_as_the_job(everything: Any) -> None:
    cron = yaml.safe_load(everything.documents["cronjob.yaml"])["spec"]
    assert cron["jobTemplate"]["spec"] == yaml.safe_load(everything.documents["job.yaml"])["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["suspend"] is False


def test_the_cron_job_is_off_by_default(defaults: Any) -> None:
    assert "cronjob.yaml" not in defaults.documents
    assert "job.yaml" in defaults.documents


def test_what_can_be_switched_off(engine: ModuleType) -> None:
    off = {
        "job": {"enabled": False},
        "migration": {"enabled": False},
        "serviceAccount": {"create": False},
        "networkPolicy": {"enabled": False},
    }
    rendered = engine.render(off)
    assert list(rendered.documents) == ["configmap.yaml"]
    assert "the pod may talk to anyone" in rendered.notes


def test_each_release_revision_has_a_job_of_its_own(defaults: Any) -> None:
    assert yaml.safe_load(defaults.documents["job.yaml"])["metadata"]["name"] == "cybersec-mlops-1"
    assert "job/cybersec-mlops-1" in defaults.notes


def test_the_notes_tell_of_an_image_that_is_not_pinned(defaults: Any, everything: Any) -> None:
    assert "The image is not pinned" in defaults.notes
    assert "The image is not pinned" not in everything.notes
    assert "17 2 * * * (Etc/UTC)" in everything.notes


def test_external_services_values(engine: ModuleType, deploy: Path, rules: Any) -> None:
    values = yaml.safe_load((deploy / "helm" / "values-external-services.yaml").read_text())
    rendered = engine.render(values)
    policy = yaml.safe_load(rendered.documents["networkpolicy.yaml"])
    assert rules.schema_error(policy, rules.kubernetes_versions()[0]) is None
    assert policy["spec"]["egress"][1] == {
        "to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}],
        "ports": [{"protocol": "TCP", "port": 9000}],
    }
    job = yaml.safe_load(rendered.documents["job.yaml"])
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "AWS_CA_BUNDLE", "value": "/etc/cybersec-mlops-ca/ca.crt"} in container["env"]
    migrate = rendered.documents["migration.yaml"]
    assert "name: cybersec-mlops-database-owner" in migrate
    assert "cybersec-mlops-database-owner" not in rendered.documents["job.yaml"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"resorces": {}}, "resorces"),
    ({"job": {"backofLimit": 1}}, "backofLimit"),
    ({"image": {"tag": "latest"}}, "/image/tag"),
    ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    ({"securityContext": {"runAsUser": 0}}, "/securityContext/runAsUser"),
    ({"store": {"endpoint": "http://user:password@store"}}, "/store/endpoint"),
    ({"store": {"url": "file:///tmp"}}, "/store/url"),
    ({"prefect": {"apiUrl": "http://prefect-server:4200"}}, "/prefect/apiUrl"),
    ({"resources": {"limits": {"memory": None}}}, "memory"),
    ({"networkPolicy": {"store": {"to": []}}}, "/networkPolicy/store/to"),
    ({"database": {"existingSecret": ""}}, "/database/existingSecret"),
]


@pytest.mark.parametrize(("values", "names"), REFUSED)
def test_the_schema_names_what_is_wrong(engine: ModuleType, values: dict[str, Any], names: str) -> None:
    with pytest.raises(Exception, match=re.escape(names)):
        engine.render(values)


def test_the_schema_has_every_value(deploy: Path) -> None:
    """Nothing in values.yaml is unknown to the schema, nothing in the schema is missing from values.yaml."""
    chart = deploy / "helm" / "cybersec-mlops"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = json.loads((chart / "values.schema.json").read_text())
    assert set(_described(schema)) - {("global",)} == set(_given(values))


def _described(schema: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in schema["properties"].items():
        yield (*at, name)
        if "properties" in inner and name not in ("requests", "limits"):
            yield from _described(inner, (*at, name))


def _given(values: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in values.items():
        yield (*at, name)
        if isinstance(inner, dict) and name not in ("requests", "limits"):
            yield from _given(inner, (*at, name))


def test_lint_finds_nothing_but_a_missing_icon(engine: ModuleType) -> None:
    severities = [re.search(r"'Severity': (\d)", message) for message in engine.lint()]
    assert [found[1] for found in severities if found] == ["1"]


def test_check_says_which_file_is_stale(
    engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "PLAIN", tmp_path)
    (tmp_path / "other.yaml").write_text("kind: Namespace\n")
    assert engine.main([]) == 0
    with (tmp_path / "job.yaml").open("a") as opened:
        opened.write("# by hand\n")
    (tmp_path / "gone.yaml").write_text(engine.MADE)
    capsys.readouterr()
    assert engine.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "job.yaml is not what" in said
    assert "gone.yaml is not what" in said
    assert "other.yaml" not in said
    assert engine.main([]) == 0
    assert not (tmp_path / "gone.yaml").exists()
    assert (tmp_path / "other.yaml").exists()
