"""Whatever happens, a command tells it in one document and one exit code."""

from __future__ import annotations

import logging

import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, DataError, PlatformError
from cybersec_mlops.pipeline import executors
from cybersec_mlops.pipeline.execute import perform
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.result import PHASES


@pytest.mark.prefect2
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


def test_expected_errors_leave_no_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    from cybersec_mlops.pipeline.execute import _Tidy

    record = logging.LogRecord("prefect.task_runs", logging.ERROR, "f", 1, "Encountered", (), None)
    error = DataError("no rows", hint="look")
    record.exc_info = (DataError, error, None)
    assert _Tidy().filter(record)
    assert record.getMessage() == "no rows (look)"
    assert not record.exc_info
