"""A Prefect server that is away is waited for with a limit and a word; what its client raises is a PlatformError."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import httpx
import pytest

from cybersec_mlops import waiting
from cybersec_mlops.errors import ConfigError, DataError, PlatformError
from cybersec_mlops.pipeline import orchestrator

URL = "http://me:hidden@prefect:4200/api"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    waiting.LOG.addHandler(caplog.handler)  # it may not propagate: a command line that ran before says so
    yield caplog
    waiting.LOG.removeHandler(caplog.handler)


def test_a_server_that_is_away_is_waited_for_with_a_limit(told: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(PlatformError, match=r"not ready after 0 s: .*refused") as caught:
            orchestrator.wait_for_api(f"http://127.0.0.1:{taken.getsockname()[1]}/api", 0.3)
    assert "PREFECT_API_URL" in caught.value.hint
    assert any("waiting for the Prefect API" in line for line in told.messages)


@pytest.mark.parametrize("url", ["", "prefect:4200", "file:///etc/passwd"])
def test_what_is_no_address_is_not_waited_for(url: str) -> None:
    with pytest.raises(ConfigError):
        orchestrator.wait_for_api(url, 60)


def answered(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", URL)
    return httpx.HTTPStatusError("x", request=request, response=httpx.Response(code, request=request))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("All connection attempts failed"), "could not be reached"),
        (httpx.ReadTimeout(""), "did not answer in time"),
        (answered(503), "answered HTTP 503"),
        (RuntimeError("Failed to reach API at http://prefect:4200/api"), "could not be reached"),
    ],
)
def test_a_server_that_is_away_is_a_platform_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", URL)
    failure = orchestrator.server_failure(error)
    assert failure is not None
    assert failure.message == f"the Prefect server at http://prefect:4200/api failed: it {reason}"


@pytest.mark.parametrize("error", [None, DataError("d"), RuntimeError("other"), answered(404), KeyboardInterrupt()])
def test_other_failures_are_not_the_servers(error: BaseException | None) -> None:
    assert orchestrator.server_failure(error) is None


def test_what_was_to_be_reported_is_told_and_not_that_it_could_not_be() -> None:
    ours = PlatformError("the database is away")

    def report() -> None:
        try:
            raise ours
        except PlatformError:
            raise answered(500)  # noqa: B904 - as Prefect does

    with pytest.raises(httpx.HTTPStatusError) as caught:
        report()
    assert orchestrator.server_failure(caught.value) is ours


def test_attempts_of_the_client_are_told(told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{URL}/told")
    orchestrator.tell_of_retries()
    orchestrator.tell_of_retries()
    logging.getLogger("prefect.client").debug(
        "Encountered retryable exception during request. Another attempt will be made in 3.7s. This is attempt 2/6."
    )
    [line] = {one for one in told.messages if one.startswith("waiting")}
    assert line == "waiting for the Prefect server at http://prefect:4200/api/told: another attempt in 4 s (2/6)"


@pytest.mark.parametrize(
    ("why", "attempt", "lines"),
    [
        ("Received response with retryable status code 503", 1, 0),
        ("Received response with retryable status code 503", 2, 1),
        ("Encountered retryable exception during request", 1, 1),
    ],
    ids=["busy", "still busy", "away"],
)
def test_a_server_that_is_busy_for_a_moment_is_not_told(
    told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, why: str, attempt: int, lines: int
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{URL}/{why.split()[0]}/{attempt}")
    orchestrator.tell_of_retries()
    said = f"{why}. Another attempt will be made in 1.6s. This is attempt {attempt}/6."
    logging.getLogger("prefect.client").debug(said)
    assert len({one for one in told.messages if one.startswith("waiting")}) == lines
