"""Only what is transient is tried again, as often and as late as the policy says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prefect import flow

from cybersec_mlops.config import TaskPolicy
from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.pipeline.policies import configured, delays, phase_task

pytestmark = [pytest.mark.prefect2, pytest.mark.services, pytest.mark.xdist_group("prefect")]
POLICY = TaskPolicy(retries=2, retry_delay_s=0)


def attempts(error: Callable[[], Exception], fail_first: int) -> int:
    made = 0

    @phase_task("step")
    def step() -> str:
        nonlocal made
        made += 1
        if made <= fail_first:
            raise error()
        return "done"

    @flow(name="policies-test")
    def run() -> str:
        return configured(step, POLICY)()

    if fail_first > POLICY.retries or error is not PlatformErrorNow:
        with pytest.raises(type(error())):
            run()
    else:
        assert run() == "done"
    return made


def PlatformErrorNow() -> Exception:  # noqa: N802
    return PlatformError("away")


def test_a_platform_error_is_tried_again(prefect_api: str) -> None:
    assert attempts(PlatformErrorNow, fail_first=2) == 3


def test_and_given_up_after_the_last_retry(prefect_api: str) -> None:
    assert attempts(PlatformErrorNow, fail_first=9) == 3


@pytest.mark.parametrize("error", [DataError, ZeroDivisionError])
def test_anything_else_fails_at_once(prefect_api: str, error: type[Exception]) -> None:
    assert attempts(lambda: error("no"), fail_first=9) == 1


def test_delays_double() -> None:
    assert delays(TaskPolicy(retries=4, retry_delay_s=0.5)) == [0.5, 1.0, 2.0, 4.0]
