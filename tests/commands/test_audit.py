"""`audit`: what was tampered with is named, what is asked for is traced, the schema is brought up to date."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands.conftest import World
from typer.testing import Result

from cybersec_mlops.commands.audit import parse_head
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.stack.postgres import Postgres

Call = Callable[..., Result]
Document = Callable[..., Any]


def tamper(world: World, statement: str) -> None:
    """Change the database behind the audit's back, as somebody would who may: the guards are dropped first."""
    with sqlite3.connect(Path(str(world.platform.audit.database.url.database))) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(statement).rowcount > 0
    connection.close()


def test_an_untouched_audit_is_intact(world: World, call: Call, document: Document) -> None:
    told = document("audit", "verify")
    assert told["intact"]
    assert told["faults"] == []
    assert told["rows"] == len(world.platform.audit.events())
    assert document("audit", "head")["head"] == told["head"]
    assert call("audit", "head").stdout.strip() == told["head"]
    assert call("audit", "verify", "--expect", told["head"]).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "row", "kind"),
    [
        ("UPDATE audit_events SET dataset = 'other' WHERE id = 3", 3, "changed"),
        ("DELETE FROM audit_events WHERE id = 2", 2, "missing"),
        ("DELETE FROM audit_events WHERE id > 4", 5, "truncated"),
        ("UPDATE audit_events SET id = 100 WHERE id = 2", 2, "missing"),
        ("UPDATE audit_events SET id = 100 WHERE id = 2", 100, "reordered"),
    ],
)
def test_tampering_is_found_named_and_ends_with_3(
    world: World, call: Call, statement: str, row: int, kind: str
) -> None:
    tamper(world, statement)
    done = call("audit", "verify", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert not told["intact"]
    assert (row, kind) in [(fault["id"], fault["kind"]) for fault in told["faults"]]
    plain = call("audit", "verify")
    assert plain.exit_code == 3
    assert f"row {row}: {kind}" in plain.stdout
    assert "hint" in plain.stderr


def test_a_cut_chain_with_a_forged_head_is_caught_by_the_noted_one(world: World, call: Call) -> None:
    noted = call("audit", "head").stdout.strip()
    last = world.platform.audit.events()[3]
    tamper(world, "DELETE FROM audit_events WHERE id > 4")
    tamper(world, f"UPDATE audit_head SET count = 4, hash = '{last.hash}'")
    assert call("audit", "verify").exit_code == 0, "from inside it looks whole"
    assert call("audit", "verify", "--expect", noted).exit_code == 3


@given(st.text(max_size=80))
def test_what_is_not_a_head_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a head"):
        parse_head(text)


@given(st.integers(0, 10**17), st.binary(min_size=32, max_size=32))
def test_a_head_is_read_as_it_is_printed(number: int, digest: bytes) -> None:
    text = f"{number}:{digest.hex()}"
    assert str(parse_head(text)) == text


def test_a_raw_hash_leads_to_the_models_and_the_report(world: World, document: Document) -> None:
    told = document("audit", "trace", world.raw.sha256[:12])
    assert told["kind"] == "object"
    assert [event["phase"] for event in told["led_to"]] == ["transformation", "training", "training", "evaluation"]
    assert told["led_to"][-1]["outputs"]["report"] == "memory://report"
    assert {event["phase"] for event in told["told"]} == {"registration", "promotion"}
    assert told["unread"] == {}


@pytest.mark.parametrize("thing", ["day@2", "day@champion"])
def test_a_model_leads_back_to_the_originals(world: World, document: Document, thing: str) -> None:
    told = document("audit", "trace", thing)
    assert told["kind"] == "model"
    assert [source["sha256"] for source in told["sources"]] == [world.raw.sha256]
    assert [event["phase"] for event in told["made_by"]] == ["ingestion", "transformation", "training"]
    assert told["made_by"][-1]["parameters"] == {"trees": 2}
    assert told["sources"][0]["names"]


def test_a_trace_obeys_no_file_name(world: World, call: Call) -> None:
    done = call("audit", "trace", "day@1")
    assert done.exit_code == 0
    assert "came as" in done.stdout
    assert "[bold]<b>.log" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_damaged_manifest_is_told_and_the_rest_is_traced(world: World, document: Document) -> None:
    raw = world.platform.layers.raw
    raw.put_bytes(raw.key(world.raw_manifest.uri), b"{}", overwrite=True)
    told = document("audit", "trace", "day@2")
    assert list(told["unread"]) == [world.raw_manifest.uri]
    assert [event["phase"] for event in told["made_by"]] == ["ingestion", "transformation", "training"]


def test_what_nobody_knows_is_a_data_error(world: World, call: Call) -> None:
    done = call("audit", "trace", "nothing@7")
    assert done.exit_code == 3
    assert "hint" in done.stderr


def test_sqlite_needs_no_migration_and_has_no_roles(home: object, call: Call, document: Document) -> None:
    assert document("audit", "migrate")["granted"] is None
    assert call("audit", "migrate", "--grant-role", "pipeline").exit_code == 2


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_granted_role_reads_and_appends_and_changes_nothing(
    postgres: Postgres, postgres_url: str, call: Call, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_DATABASE_URL", postgres_url)
    role = f"role_{postgres_url[-12:]}"
    assert call("audit", "migrate", "--grant-role", role).exit_code == 2, "there is no such role"
    secret = postgres.create_role(role)
    assert document("audit", "migrate", "--grant-role", role)["granted"] == role
    own = postgres.url(postgres_url.rsplit("/", 1)[1], user=role, secret=secret)
    monkeypatch.setenv("CYBERSEC_MLOPS_DATABASE_URL", own)
    assert document("audit", "verify")["intact"]
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute("UPDATE iceberg_tables SET metadata_location = NULL")
        for statement in ("DELETE FROM audit_events", "UPDATE audit_head SET count = 0", "TRUNCATE audit_events"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    done = call("audit", "migrate", "--grant-role", role)
    assert done.exit_code == 2, "it owns nothing and so can grant nothing"
    assert secret not in done.output
