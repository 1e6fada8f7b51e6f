"""Run a flow for a person or a container: find a Prefect server, run, and tell what happened in one document."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.config import RunSpec, Settings
from cybersec_mlops.errors import CybersecMlopsError, GateError, describe_error
from cybersec_mlops.pipeline.embedded_server import embedded_server
from cybersec_mlops.pipeline.loading import import_until, loading
from cybersec_mlops.pipeline.orchestrator import READY_TIMEOUT_S, server_failure, tell_of_retries, wait_for_api
from cybersec_mlops.pipeline.scratch import remove_mine, scratch_folder
from cybersec_mlops.pipeline.termination import EXIT_CODE, Terminated, ending_on_sigterm

FLUSH_S: Final = 10.0
"""How long Prefect may take to send its last logs and events, seconds."""
Describe = Callable[[str, Sequence[StoredEvent]], dict[str, Any]]
"""Makes the document of a run from its id and its events."""
_PREFECT_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.flow_engine", "prefect.task_engine")


@dataclass(frozen=True)
class Performed:
    """What a command did."""

    document: dict[str, Any]
    exit_code: int
    error: BaseException | None = None
    places: dict[str, Any] = field(default_factory=dict)
    """What a person wants to know beside the document: where the report is, whether the data is synthetic."""
    unsent: bool = False
    """Prefect holds what its server did not take, and would wait for it without a limit when the process ends."""

    def leave(self) -> NoReturn:
        """End the process with the exit code; at once where something would hold it up without a limit.

        That is what Prefect could not send, and, after SIGTERM, a task in a thread, which nothing can interrupt.
        """
        if self.unsent or isinstance(self.error, Terminated):
            sys.stdout.flush()
            sys.stderr.flush()
            remove_mine()
            os._exit(self.exit_code)
        gc.freeze()  # else the interpreter looks through all that was imported once more, for a second
        raise SystemExit(self.exit_code)


class _Tidy(logging.Filter):
    """Keep the sentence of an expected error in Prefect's log and drop its traceback and its advice on threads."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "running in a worker thread" in str(record.msg):
            return False  # of every task with a timeout; that it cannot interrupt is in docs/operations.md
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, CybersecMlopsError) and not os.environ.get("CYBERSEC_MLOPS_DEBUG"):
            record.msg = "%s (%s)" if error.hint else "%s"
            record.args = (error.message, error.hint) if error.hint else (error.message,)
            record.exc_info = None
        return True


@dataclass
class Session:
    """Flows between a server's beginning and end."""

    unsent: bool = False
    """The server did not take in time what was left to send."""

    def flush(self) -> None:
        """Send what Prefect still has to tell, for a limited time."""
        from cybersec_mlops.pipeline.compat import flush

        self.unsent = not flush(FLUSH_S)


@contextlib.contextmanager
def prefect_server(*, verbose: bool) -> Iterator[Session]:
    """Make sure that flows find a Prefect server: the one of PREFECT_API_URL, or one of our own meanwhile.

    Enter it before Prefect is imported: the environment that it sets is read then.
    """
    session = Session()
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO" if verbose else "CRITICAL")
    for name in _PREFECT_LOGGERS:
        logging.getLogger(name).addFilter(_Tidy())
    if url := os.environ.get("PREFECT_API_URL"):
        wait_for_api(url, READY_TIMEOUT_S)
        with _nothing_left_behind():
            from cybersec_mlops.pipeline.compat import server_limits

            with server_limits():
                try:
                    yield session
                finally:
                    session.flush()
        return
    with embedded_server(Settings.load().home / "prefect") as server:
        os.environ.update(server.client_environment())
        try:
            with loading():  # while the server starts
                from cybersec_mlops.pipeline import full_mlops_flow  # noqa: F401
                from cybersec_mlops.pipeline.compat import no_heartbeat, use_api

                import_until(server.waiting())
            with use_api(server.api_url), no_heartbeat():  # nobody looks after zombies on a server of our own
                try:
                    yield session
                finally:
                    session.flush()
        finally:
            os.environ.pop("PREFECT_API_URL", None)


@contextlib.contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Let libraries that keep files in the home folder keep them on scratch: Prefect's results, matplotlib's fonts."""
    with scratch_folder(Settings.load().scratch_dir) as folder:
        os.environ.setdefault("PREFECT_LOCAL_STORAGE_PATH", f"{folder}/results")
        os.environ.setdefault("MPLCONFIGDIR", f"{folder}/matplotlib")
        try:
            yield
        finally:
            for name in ("PREFECT_LOCAL_STORAGE_PATH", "MPLCONFIGDIR"):
                if os.environ.get(name, "").startswith(str(folder)):
                    del os.environ[name]


def perform(
    executor: str,
    spec: Callable[[], RunSpec],
    *,
    verbose: bool = False,
    run_id: str | None = None,
    describe: Describe | None = None,
    **inputs: Any,
) -> Performed:
    """Run a flow and describe what happened, whatever happened.

    Parameters
    ----------
    executor : str
        Name of the function in `executors`.
    spec : callable
        Makes the `RunSpec`; what is wrong with it is told like any other error.
    verbose : bool
        Show Prefect's log.
    run_id : str, optional
        Id of the run in the audit; a new one by default.
    describe : callable, optional
        Makes the document of the run's id and events; `result.run_document` by default.
    **inputs
        For the executor.
    """
    begun: str | None = None
    error: BaseException | None = None
    session: Session | None = None
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait for work must not spin on a busy machine
    with ending_on_sigterm():
        try:
            ready = spec()
            ready.require_utf8()
            with prefect_server(verbose=verbose) as session:
                from cybersec_mlops.pipeline import executors
                from cybersec_mlops.pipeline.phase import new_run_id

                tell_of_retries()  # after Prefect's import, which sets up its loggers anew
                begun = run_id or new_run_id()
                getattr(executors, executor)(ready, begun, **inputs)
        except (Exception, KeyboardInterrupt, Terminated) as raised:  # noqa: BLE001 - becomes the document's error
            error = server_failure(raised) or raised
        performed = replace(_tell(begun, error, describe), unsent=session is not None and session.unsent)
        _alert(performed)
    return performed


def _alert(performed: Performed) -> None:
    """Tell of what never became a flow run, or of one whose server is gone; after a hook's alert this is silent."""
    if performed.error is None or isinstance(performed.error, KeyboardInterrupt):
        return
    from cybersec_mlops.pipeline.alerts import alert

    run_id = performed.document["run_id"]
    title = f"run {run_id} failed" if run_id else "a run could not begin"
    alert(run_id=run_id, flow_run_id=None, title=title, error=performed.document["error"])


def _tell(run_id: str | None, error: BaseException | None, describe: Describe | None) -> Performed:
    from cybersec_mlops.pipeline.platform import open_platform
    from cybersec_mlops.pipeline.result import places_of, run_document

    describe = describe or run_document
    document, places = describe(run_id or "", []), {}
    try:
        events = open_platform().audit.events(run_id=run_id) if run_id else []
        document, places = describe(run_id or "", events), places_of(events)
    except CybersecMlopsError as raised:  # the audit is away: tell what is known without it
        error = error or raised
    if error is not None:
        document |= {"status": "failed", "error": describe_error(error)}
    document["run_id"] = run_id
    return Performed(document, _exit_code(document, error), error, places)


def _exit_code(document: dict[str, Any], error: BaseException | None) -> int:
    if isinstance(error, CybersecMlopsError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, Terminated):
        return EXIT_CODE
    if error is not None:
        return CybersecMlopsError.exit_code
    return GateError.exit_code if document["status"] == "rejected" else 0
