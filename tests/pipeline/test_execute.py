"""Whatever happens, a command tells it in one document and one exit code."""

from __future__ import annotations

import http.server
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, DataError, PlatformError
from cybersec_mlops.pipeline import executors
from cybersec_mlops.pipeline.execute import Performed, perform
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.result import PHASES


@pytest.mark.prefect2
@pytest.mark.xdist_group("prefect")
@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (ConfigError("c"), 2, "config"),
        (DataError("d", hint="look"), 3, "data"),
        (PlatformError("p"), 4, "platform"),
        (ZeroDivisionError("z"), 1, "internal"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_exit_codes(
    platform: Platform, prefect_api: str, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, kind: str
) -> None:
    def fail(spec: RunSpec, run_id: str) -> None:
        raise error

    monkeypatch.setattr(executors, "execute_run", fail)
    performed = perform("execute_run", RunSpec)
    assert performed.exit_code == code
    assert performed.document["status"] == "failed"
    assert performed.document["error"]["kind"] == kind
    assert set(performed.document["phases"]) == set(PHASES)


def test_a_wrong_spec_is_told_without_a_run(platform: Platform) -> None:
    def wrong() -> RunSpec:
        return RunSpec.parse({"colour": 1}, where="run.toml")

    performed = perform("execute_run", wrong)
    assert (performed.exit_code, performed.document["run_id"]) == (2, None)
    assert platform.audit.events() == []


def test_a_name_that_is_not_utf8_is_told_without_a_run(platform: Platform) -> None:
    performed = perform("execute_run", lambda: RunSpec(sources=(os.fsdecode(b"conn\xff.log"),)))
    assert (performed.exit_code, performed.document["run_id"]) == (2, None)
    assert "not UTF-8" in performed.document["error"]["message"]
    assert platform.audit.events() == []


def test_expected_errors_leave_no_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    from cybersec_mlops.pipeline.execute import _Tidy

    record = logging.LogRecord("prefect.task_runs", logging.ERROR, "f", 1, "Encountered", (), None)
    error = DataError("no rows", hint="look")
    record.exc_info = (DataError, error, None)
    assert _Tidy().filter(record)
    assert record.getMessage() == "no rows (look)"
    assert not record.exc_info


LEAVING = """
import atexit
from cybersec_mlops.pipeline import execute
execute.FLUSH_S = 0.5
with execute.prefect_server(verbose=False) as session:
    from prefect.events import emit_event
    emit_event(event="left.over", resource={"prefect.resource.id": "mlops.test"})
atexit.register(print, "in order", flush=True)
print("unsent", session.unsent, flush=True)
execute.Performed({}, 4, unsent=session.unsent).leave()
"""


class OnlyReady(http.server.BaseHTTPRequestHandler):
    """A Prefect server that says that it is ready, and takes no event as long as a test goes on."""

    over = threading.Event()

    def do_GET(self) -> None:
        if self.path != "/api/ready":
            self.over.wait(120)
        self.send_response(200 if self.path == "/api/ready" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


def test_what_prefect_cannot_send_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OnlyReady) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/api"
        mine = {"PREFECT_API_URL": url, "PREFECT_HOME": str(tmp_path), "CYBERSEC_MLOPS_SCRATCH_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", LEAVING], env={**os.environ, **mine}, capture_output=True, text=True, timeout=120
        )
        OnlyReady.over.set()
        server.shutdown()
    assert (done.returncode, done.stdout) == (4, "unsent True\n"), done.stderr
    assert list(tmp_path.glob("cybersec-mlops-*")) == []


def test_otherwise_the_end_is_in_order() -> None:
    with pytest.raises(SystemExit) as caught:
        Performed({}, 5).leave()
    assert caught.value.code == 5
