"""`models`: the registry by hand, every change of it in the audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.commands.conftest import World
from typer.testing import Result

Call = Callable[..., Result]
Document = Callable[..., Any]


def champion(document: Document) -> int:
    return int(next(one["version"] for one in document("models", "list", "day") if "champion" in one["aliases"]))


def test_the_list_has_every_version_of_every_dataset(world: World, call: Call, document: Document) -> None:
    world.platform.registry.register("night", world.bundles[0], run_id="run-2")
    assert [(one["dataset"], one["version"]) for one in document("models", "list")] == [
        ("day", 1),
        ("day", 2),
        ("night", 1),
    ]
    assert len(document("models", "list", "day")) == 2
    assert document("models", "list", "nothing") == []
    assert call("models", "list").stdout.count("\n") == 3


def test_a_version_is_shown_with_its_history(world: World, call: Call, document: Document) -> None:
    shown = document("models", "show", "day")
    assert shown["version"] == 2
    assert shown["sha256"] == world.bundles[1].sha256
    assert [one["reason"] for one in shown["promotions"]] == ["better"]
    assert shown["evaluations"][0]["report"] == "memory://report"
    assert document("models", "show", "day", "1")["aliases"] == []
    assert "memory://report" in call("models", "show", "day").stdout


def test_a_rollback_goes_to_the_champion_before_and_no_further(world: World, call: Call, document: Document) -> None:
    told = document("models", "rollback", "day", "--reason", "false alarms")
    assert (told["version"], told["previous_version"], told["changed"]) == (1, 2, True)
    assert champion(document) == 1
    event = world.platform.audit.events(phase="promotion")[-1]
    assert event.id == told["audit_row"]
    assert event.parameters["kind"] == "rollback"
    assert event.parameters["reason"].startswith("false alarms (user ")
    further = call("models", "rollback", "day")
    assert further.exit_code == 3
    assert "first champion" in further.stderr
    assert world.platform.audit.verify() == []


def test_a_promotion_by_hand_is_audited_once(world: World, call: Call, document: Document) -> None:
    before = len(world.platform.audit.events())
    assert document("models", "promote", "day", "1")["changed"]
    assert not document("models", "promote", "day", "champion")["changed"]
    assert "is champion already" in call("models", "promote", "day", "1").stdout
    assert len(world.platform.audit.events()) == before + 1
    assert document("models", "promote", "day", "2", "--alias", "challenger")["previous_version"] is None


def test_what_is_not_there_is_a_data_error(world: World, call: Call) -> None:
    for arguments in (
        ("models", "show", "day", "9"),
        ("models", "show", "nothing"),
        ("models", "promote", "day", "9"),
        ("models", "promote", "day", "1", "--alias", "hero"),
        ("models", "rollback", "nothing"),
        ("models", "rollback", "day", "2"),
    ):
        done = call(*arguments)
        assert done.exit_code == 3, arguments
        assert "hint" in done.stderr, arguments
