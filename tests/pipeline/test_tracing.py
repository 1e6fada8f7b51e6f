"""A flow run shows what it works on and which code does; the audit and Prefect lead to each other."""

from __future__ import annotations

import pytest
from prefect import flow

from cybersec_mlops.config import RunSpec, Settings
from cybersec_mlops.pipeline.compat import call_api
from cybersec_mlops.pipeline.phase import run_id_of_key
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, run_tags, tag_run
from cybersec_mlops.pipeline.version import code_version

SERVICES = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


def test_outside_of_a_flow_run_there_is_none(platform: Platform) -> None:
    assert flow_run_id() is None
    tag_run("day", "r1")


def test_what_is_not_known_is_no_tag() -> None:
    settings = Settings(git_commit="abc")
    assert run_tags("day", "r1", settings) == ["dataset:day", "run:r1", f"version:{code_version()}", "commit:abc"]
    full = run_tags("day", "r1", Settings(git_commit="abc", image_digest="sha256:0f"))
    assert full[-2:] == ["commit:abc", "image:sha256:0f"]


def test_a_key_names_one_run_and_does_not_show() -> None:
    assert run_id_of_key("a") == run_id_of_key("a") != run_id_of_key("b")
    assert "uid-1234" not in run_id_of_key("uid-1234")


@pytest.mark.parametrize("given", [[], ["of-a-deployment"]])
@pytest.mark.services
@pytest.mark.xdist_group("prefect")
def test_a_flow_run_is_named_and_tagged(
    prefect_api: str, platform: Platform, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    from prefect import tags

    monkeypatch.setenv("CYBERSEC_MLOPS_GIT_COMMIT", "0123abc")
    monkeypatch.setenv("CYBERSEC_MLOPS_IMAGE_DIGEST", "sha256:0f")

    @flow(name="traced", flow_run_name=run_name("train"))
    def traced(spec: RunSpec, run_id: str) -> str | None:
        tag_run(spec.dataset_name, run_id)
        return flow_run_id()

    with tags(*given):
        found = traced(RunSpec(dataset="day"), "r1")
    told = call_api("GET", f"/flow_runs/{found}", {})
    assert told["name"] == "train day r1"
    assert {*given, "dataset:day", "run:r1", "commit:0123abc", "image:sha256:0f"} <= set(told["tags"])


def test_a_server_that_takes_no_tags_does_not_end_the_run(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "7a86a461-0000-4000-8000-000000000000")
    monkeypatch.setattr("prefect.runtime.flow_run.get_tags", list)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        tag_run("day", "r1")
    assert "could not be tagged" in caplog.text
