"""What a stack keeps between its commands: one private file, one command at a time. Its servers: tests/commands."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.stack.local import Access, LocalStack, reachable


def test_access_is_new_each_time_and_names_no_secret_twice() -> None:
    one, other = Access.new(), Access.new()
    assert len({*one.s3_ports, one.postgres_port, one.prefect_port}) == 10
    secrets = [one.s3_secret, *one.passwords.values()]
    assert len(set(secrets)) == 5
    assert not set(secrets) & {other.s3_secret, *other.passwords.values()}


def test_the_environment_is_that_of_a_role_without_rights() -> None:
    access = Access.new()
    told = access.environment()
    assert f"audit:{access.passwords['audit']}@127.0.0.1" in told["CYBERSEC_MLOPS_DATABASE_URL"]
    for role in ("mlops", "prefect", "audit_owner"):
        assert not any(access.passwords[role] in value for value in told.values())


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 9}', '{"version": 1, "s3_ports": []}', "\xff"])
def test_a_private_file_that_is_something_else_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content, "latin-1")
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        LocalStack(tmp_path).access()
    assert caught.value.hint
    assert (tmp_path / "stack.json").read_text("latin-1") == content


def test_two_commands_at_once_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    tmp_path.chmod(0o755)
    with (folder / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises((PlatformError, ConfigError)) as caught:
            LocalStack(folder).down()
    assert "another `stack` command" in str(caught.value) or "only root may enter" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL is another account")
def test_root_is_told_of_a_folder_that_others_cannot_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not reachable(closed / "stack")
    with pytest.raises(ConfigError, match="only root may enter"):
        LocalStack(closed / "stack").up()


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        LocalStack(tmp_path / "file" / "stack").up()
