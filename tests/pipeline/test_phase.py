"""A phase is done once for its inputs, again when its result is damaged, and everything is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.pipeline.phase import (
    Outcome,
    Phase,
    find_result,
    new_run_id,
    phase_key,
    reference_of,
    references_in,
    run_phase,
    run_unkeyed_phase,
)
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.storage.reference import Reference

PHASE = Phase(
    name="training", run_id="r1", dataset="d", inputs=(Reference("memory://x/a", "aa", 1),), parameters={"s": 1}
)


class Work:
    """Makes a result and counts how often."""

    def __init__(self, platform: Platform) -> None:
        self.calls = 0
        self._platform = platform

    def __call__(self) -> Outcome:
        self.calls += 1
        made = self._platform.layers.models.put_bytes("bundles/x", b"model", overwrite=True)
        return Outcome({"bundle": made.to_dict()}, rows=3, metrics={"a": 0.5})


def statuses(platform: Platform) -> list[str]:
    return [event.status for event in platform.audit.events()]


def test_the_second_time_nothing_is_done(platform: Platform) -> None:
    work = Work(platform)
    first = run_phase(platform, PHASE, work)
    again = run_phase(platform, replace(PHASE, run_id="r2"), work)
    assert work.calls == 1
    assert (first.reused, again.reused) == (False, True)
    assert (again.outputs, again.rows, again.metrics) == (first.outputs, first.rows, first.metrics)
    assert statuses(platform) == ["started", "completed", "reused"]


@pytest.mark.parametrize(
    "other",
    [
        {"inputs": (Reference("memory://x/a", "bb", 1),)},
        {"parameters": {"s": 2}},
        {"name": "evaluation"},
        {"dataset": "e"},
    ],
)
def test_other_inputs_are_other_work(platform: Platform, other: dict[str, object]) -> None:
    work = Work(platform)
    run_phase(platform, PHASE, work)
    run_phase(platform, replace(PHASE, **other), work)  # type: ignore[arg-type]
    assert work.calls == 2


def test_where_an_input_lies_does_not_matter() -> None:
    moved = replace(PHASE, inputs=(Reference("s3://elsewhere/a", "aa", 1),))
    assert moved.key == PHASE.key


@pytest.mark.parametrize("damage", [b"m0del", b"shorter", None])
def test_a_damaged_result_is_made_again(platform: Platform, damage: bytes | None) -> None:
    work = Work(platform)
    run_phase(platform, PHASE, work)
    if damage is None:
        platform.layers.models.delete("bundles/x")
    else:
        platform.layers.models.put_bytes("bundles/x", damage, overwrite=True)
    assert find_result(platform, PHASE) is None
    assert not run_phase(platform, PHASE, work).reused
    assert work.calls == 2


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (DataError("no rows", hint="look"), "failed", "data"),
        (PlatformError("away"), "failed", "platform"),
        (ZeroDivisionError("x"), "failed", "internal"),
        (KeyboardInterrupt(), "interrupted", "interrupted"),
    ],
)
def test_a_failure_is_written_down_and_raised(platform: Platform, error: BaseException, status: str, kind: str) -> None:
    def fail() -> Outcome:
        raise error

    with pytest.raises(type(error)):
        run_phase(platform, PHASE, fail)
    last = platform.audit.events()[-1]
    assert (last.status, last.error and last.error["kind"]) == (status, kind)
    assert last.ended_at is not None
    assert find_result(platform, PHASE) is None


def test_an_attempt_after_a_failure_has_the_next_number(platform: Platform) -> None:
    def fail() -> Outcome:
        raise DataError("no")

    with pytest.raises(DataError):
        run_phase(platform, PHASE, fail)
    run_phase(platform, PHASE, Work(platform))
    assert [event.attempt for event in platform.audit.events()] == [1, 1, 2, 2]


def test_a_refused_run_is_rejected_and_not_failed(platform: Platform) -> None:
    refused = Outcome({"promoted": False, "reasons": ["too many false alarms", "no leak"]}, refused=True)
    run_unkeyed_phase(platform, replace(PHASE, name="run"), lambda: refused)
    assert statuses(platform) == ["started", "rejected"]
    error = platform.audit.events()[-1].error
    assert error is not None
    assert (error["kind"], error["message"]) == ("gate", "too many false alarms")


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_key_does_not_depend_on_the_order_of_parameters(parameters: dict[str, object]) -> None:
    turned = dict(reversed(parameters.items()))
    assert phase_key("p", ["a"], parameters) == phase_key("p", ["a"], turned)


def test_every_reference_is_found_however_deep() -> None:
    one = Reference("memory://x/a", "aa", 1)
    assert list(references_in({"a": [{"b": one.to_dict()}], "c": one.to_dict(), "d": "aa"})) == [one, one]


def test_run_ids_do_not_collide() -> None:
    assert len({new_run_id() for _ in range(1000)}) == 1000


def test_a_reference_from_a_location_has_the_hash_of_its_bytes(platform: Platform) -> None:
    made = platform.layers.raw.put_bytes("manifests/a", b"x")
    assert reference_of(platform, made.uri) == made


def test_a_result_in_a_store_that_is_no_longer_ours_is_made_again(platform: Platform) -> None:
    elsewhere = Reference("s3://before-the-move/models/x", "aa", 1)
    run_phase(platform, PHASE, lambda: Outcome({"bundle": elsewhere.to_dict()}))
    assert find_result(platform, PHASE) is None
    work = Work(platform)
    assert not run_phase(platform, PHASE, work).reused
    assert work.calls == 1
