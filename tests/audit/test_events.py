from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cybersec_mlops.audit.events import Head, PhaseEvent


def test_events_are_values_that_nobody_changes() -> None:
    event = PhaseEvent(run_id="r", phase="run", attempt=1, status="started", started_at=datetime.now(UTC))
    with pytest.raises(AttributeError):
        event.status = "completed"  # type: ignore[misc]
    assert (event.inputs, event.outputs, event.ended_at, event.rows, event.error) == ([], {}, None, None, None)


def test_a_head_is_written_down_in_one_word() -> None:
    assert str(Head(12, "ab")) == "12:ab"
