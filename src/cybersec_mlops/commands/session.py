"""What commands share: an error ends them with a sentence and an exit code, the audit is that of the settings."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cybersec_mlops.errors import CybersecMlopsError, describe_error

if TYPE_CHECKING:
    from cybersec_mlops.audit.log import AuditLog
    from cybersec_mlops.pipeline.execute import Performed

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, and nothing else.")]


def new_group(name: str, text: str) -> typer.Typer:
    """Return an empty group of commands that looks like the others."""
    return typer.Typer(
        name=name, help=text, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )


@contextlib.contextmanager
def ending_with_exit_code(*, as_json: bool = False) -> Iterator[None]:
    """End a command with the error's sentence and its exit code, whatever the error.

    Parameters
    ----------
    as_json : bool
        Tell it in one JSON document on stdout as well, under ``error``.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get("CYBERSEC_MLOPS_DEBUG"):
            raise
        raise typer.Exit(_told(error, as_json=as_json)) from None


def _told(error: Exception, *, as_json: bool) -> int:
    """Tell an error, return the exit code."""
    from cybersec_mlops.presentation import print_error

    told = describe_error(error)
    if not isinstance(error, CybersecMlopsError):
        told["hint"] = _DEBUG_HINT
    if as_json:
        with contextlib.suppress(OSError):  # of a full disk, which may be the error
            print_json({"error": told})
    print_error(told)
    return error.exit_code if isinstance(error, CybersecMlopsError) else CybersecMlopsError.exit_code


_DEBUG_HINT = "`cybersec-mlops --debug` tells where"


def conclude(performed: Performed, *, as_json: bool, show: Callable[[], None]) -> NoReturn:
    """End a command that ran a flow: print the document, or what `show` prints, and the error."""
    from cybersec_mlops.presentation import print_error, print_traceback

    if performed.error is not None and os.environ.get("CYBERSEC_MLOPS_DEBUG"):
        print_traceback(performed.error)
    with ending_with_exit_code():
        if as_json:
            print_json(performed.document)
        else:
            show()
        if performed.error is not None:
            print_error(performed.document["error"])
    performed.leave()


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
