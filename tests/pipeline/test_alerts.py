"""One alert for a run that failed, to a real HTTP sink, without a secret in it or in a log."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.pipeline import alerts
from cybersec_mlops.pipeline.execute import perform
from cybersec_mlops.pipeline.full_mlops_flow import full_mlops_flow
from cybersec_mlops.pipeline.phase import new_run_id
from cybersec_mlops.pipeline.platform import Platform

PATH_SECRET = "hook-5up3r53cr37"
DATABASE_SECRET = "p4ssw0rd%21"


class Sink:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.received.append({"path": self.path, **json.loads(body)})
                self.send_response(sink.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_address[1]}/{PATH_SECRET}"


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch, platform: Platform) -> Iterator[Sink]:
    made = Sink()
    monkeypatch.setenv("CYBERSEC_MLOPS_ALERT_URLS", made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


def send(**more: Any) -> bool:
    told = {"run_id": uuid.uuid4().hex, "flow_run_id": None, "title": "it failed", "error": {"message": "m"}}
    return alerts.alert(**{**told, **more})


def test_an_alert_says_what_where_and_what_to_do(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://me:hidden@prefect.lan:4200/api")
    assert send(run_id="r-7", flow_run_id="f-9", error={"message": "no rows", "hint": "look at conn.log"})
    [told] = sink.received
    assert told["title"] == "cybersec-mlops: it failed"
    for part in ("no rows", "look at conn.log", "cybersec-mlops show r-7", "http://prefect.lan:4200/runs/flow-run/f-9"):
        assert part in told["message"]
    assert "hidden" not in told["message"]


def test_a_run_alerts_once(sink: Sink) -> None:
    assert send(run_id="once")
    assert not send(run_id="once", flow_run_id="another")
    assert send(run_id="other")
    assert len(sink.received) == 2


def test_without_an_address_nothing_is_sent_and_nothing_is_remembered(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.delenv("CYBERSEC_MLOPS_ALERT_URLS")
        assert not send(run_id="later")
    assert send(run_id="later")


def test_no_secret_is_told(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_DATABASE_URL", f"postgresql://me:{DATABASE_SECRET}@db/audit")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k3y-0f-s3")
    leaked = f"postgresql://me:{DATABASE_SECRET}@db p4ssw0rd! k3y-0f-s3 {sink.url}"
    assert send(title=leaked, error={"message": leaked, "hint": leaked})
    text = json.dumps(sink.received[0] | {"path": ""})
    for secret in (DATABASE_SECRET, "p4ssw0rd!", "k3y-0f-s3", PATH_SECRET):
        assert secret not in text


@pytest.mark.parametrize("urls", ["{url}", "nonsense://{secret}", "json://127.0.0.1:9/{secret}", "{secret}"])
def test_an_address_that_fails_is_a_warning_without_the_address(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, urls: str
) -> None:
    sink.status = 500
    monkeypatch.setenv("CYBERSEC_MLOPS_ALERT_URLS", urls.format(url=sink.url, secret=PATH_SECRET))
    caplog.set_level(logging.DEBUG)
    assert not send()
    assert [record for record in caplog.records if record.name == "cybersec_mlops.alerts"]
    assert PATH_SECRET not in "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")
    )


@given(st.text(max_size=3000))
def test_nothing_that_a_terminal_obeys_is_told(text: str) -> None:
    told = alerts.clean(text)
    assert len(told) <= alerts.LIMIT
    assert not any(ord(one) < 32 and one not in "\t\n" for one in told)


def test_a_run_that_never_becomes_a_flow_run_alerts(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    def away() -> RunSpec:
        raise PlatformError(f"the Prefect API was not ready: {uuid.uuid4()}", hint="look at the server")

    performed = perform("execute_run", away, run_id=uuid.uuid4().hex)
    assert performed.exit_code == 4
    assert "look at the server" in sink.received[0]["message"]


@pytest.mark.services
@pytest.mark.xdist_group("prefect")
@pytest.mark.parametrize("by", ["hook", "perform"])
def test_a_failed_run_with_its_subflows_alerts_once(
    sink: Sink, prefect_api: str, platform: Platform, tmp_path: Path, by: str
) -> None:
    (tmp_path / "empty.log").write_text("")
    spec, run_id = RunSpec(sources=(str(tmp_path / "empty.log"),), dataset="day"), new_run_id()
    if by == "hook":
        with pytest.raises(DataError):
            full_mlops_flow(spec, run_id)
    else:
        assert perform("execute_run", lambda: spec, run_id=run_id).exit_code == 3
    [told] = sink.received
    assert "is empty" in told["message"]
    assert "What to do: " in told["message"]
    assert run_id in told["title"]
    assert "/runs/flow-run/" in told["message"]
