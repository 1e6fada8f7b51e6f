"""What commands share: an error ends them with a sentence and an exit code, the audit is that of the settings."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cybersec_mlops.errors import CybersecMlopsError

if TYPE_CHECKING:
    from cybersec_mlops.audit.log import AuditLog

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, and nothing else.")]


def new_group(name: str, text: str) -> typer.Typer:
    """Return an empty group of commands that looks like the others."""
    return typer.Typer(
        name=name, help=text, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )


@contextlib.contextmanager
def ending_with_exit_code() -> Iterator[None]:
    """End a command that runs no flow with the error's sentence and its exit code."""
    from cybersec_mlops.presentation import print_error

    try:
        yield
    except CybersecMlopsError as error:
        if os.environ.get("CYBERSEC_MLOPS_DEBUG"):
            raise
        print_error({"kind": error.kind, "message": error.message, "hint": error.hint or None})
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get("CYBERSEC_MLOPS_DEBUG"):
            raise
        print_error({"message": f"{type(error).__name__}: {error}", "hint": "`cybersec-mlops --debug` tells where"})
        raise typer.Exit(CybersecMlopsError.exit_code) from None


def print_json(value: Any) -> None:
    """Print a document to stdout; times become ISO 8601."""
    typer.echo(json.dumps(value, allow_nan=False, default=_plain))


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def open_audit() -> AuditLog:
    """Open the audit that the settings name. On PostgreSQL its schema is checked, never changed.

    Raises
    ------
    ConfigError
        The settings name no database.
    PlatformError
        The database is away, or its schema is not this code's.
    """
    from cybersec_mlops.audit.log import AuditLog
    from cybersec_mlops.config import Settings

    return AuditLog.open(Settings.load().database, migrate=False)
