"""What differs between the versions of Prefect is answered for the one that is installed."""

from __future__ import annotations

import prefect
import pytest

from cybersec_mlops.pipeline.compat import IS_PREFECT_3, UNCACHED, flush, no_heartbeat, thread_runner


def test_the_version_is_recognised() -> None:
    assert prefect.__version__.startswith("3.") == IS_PREFECT_3
    assert UNCACHED["persist_result"] is False
    assert "Runner" in type(thread_runner(2)).__name__


@pytest.mark.skipif(not IS_PREFECT_3, reason="Prefect 2 has no heartbeat")
def test_the_heartbeat_is_off_inside_and_back_outside() -> None:
    from prefect.settings import get_current_settings

    before = get_current_settings().flows.heartbeat_frequency
    with no_heartbeat():
        assert get_current_settings().flows.heartbeat_frequency is None
    assert get_current_settings().flows.heartbeat_frequency == before


def test_flushing_nothing_is_fine() -> None:
    assert flush(timeout_s=1)
