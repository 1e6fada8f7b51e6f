"""One alert for each run that failed, to the addresses of CYBERSEC_MLOPS_ALERT_URLS, whether Prefect is there or not.

The hooks alert for a flow that a worker or another program runs; `execute.perform` alerts for what never became a flow
run. Whoever is second in a process is silent. The addresses are secret, and no text of an alert holds a secret.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from cybersec_mlops.config import Settings
from cybersec_mlops.errors import CybersecMlopsError, describe_error
from cybersec_mlops.hidden import HIDDEN

LOG = logging.getLogger("cybersec_mlops.alerts")
LIMIT: Final = 1500
"""Characters of an error that an alert repeats."""
_SECRET_NAME: Final = re.compile(r"SECRET|PASSWORD|TOKEN|API_KEY|AUTH_STRING|ALERT_URLS|CUSTOM_HEADERS")
_CONTROL: Final = re.compile(f"[{HIDDEN}]")
_alerted: set[str] = set()
_lock = threading.Lock()


def alert_on_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Alert when a flow run failed or crashed: Prefect's hook. A subflow's failure is its parent's to tell."""
    if flow_run.parent_task_run_id is not None:
        return
    from cybersec_mlops.pipeline.compat import raised_in  # Prefect is here already; for `alert` alone it need not be

    parameters = flow_run.parameters or {}
    error = raised_in(state)
    alert(
        run_id=parameters.get("run_id"),
        flow_run_id=str(flow_run.id),
        title=f"{flow.name} {(state.name or 'failed').lower()}: {flow_run.name}",
        error=describe_error(error) if isinstance(error, CybersecMlopsError) else {"message": state.message},
    )


def alert(*, run_id: str | None, flow_run_id: str | None, title: str, error: Mapping[str, Any]) -> bool:
    """Send an alert, once for a run in this process.

    Parameters
    ----------
    run_id, flow_run_id : str, optional
        Of the audit and of Prefect.
    title : str
        What failed, in a line.
    error : mapping
        ``message`` and ``hint``, as `describe_error` returns them.

    Returns
    -------
    bool
        Whether every address took it. False also where there is none, or it was sent before.
    """
    urls = Settings.load().alert_urls
    if urls is None or not _first(run_id or flow_run_id or title):
        return False
    return _send(
        split_urls(urls.get_secret_value()), clean(f"cybersec-mlops: {title}"), _text(run_id, flow_run_id, error)
    )


def _first(name: str) -> bool:
    with _lock:
        if name in _alerted:
            return False
        _alerted.add(name)
        return True


def _text(run_id: str | None, flow_run_id: str | None, error: Mapping[str, Any]) -> str:
    lines = [clean(str(error.get("message") or "it ended without a message"))]
    lines.append(f"What to do: {clean(str(error.get('hint') or _DEFAULT_HINT))}")
    if run_id:
        lines.append(f"Everything about it: cybersec-mlops show {run_id}")
    if flow_run_id and (page := _page(flow_run_id)):
        lines.append(f"In Prefect: {page}")
    return "\n".join(lines)


ALERTS: Final[dict[str, Any]] = {"on_failure": [alert_on_failure], "on_crashed": [alert_on_failure]}
"""Options of every flow."""
_DEFAULT_HINT: Final = "run the same command again; finished work is not done twice"


def _page(flow_run_id: str) -> str | None:
    url = os.environ.get("PREFECT_UI_URL") or os.environ.get("PREFECT_API_URL", "").removesuffix("/").removesuffix(
        "/api"
    )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    return (
        urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        + f"/runs/flow-run/{flow_run_id}"
    )


def clean(text: str) -> str:
    r"""Return a text without control characters, without the secrets of this process, and not too long.

    >>> clean("a\x1b[2Jb")
    'a�[2Jb'
    """
    for secret in secrets_of(os.environ):
        text = text.replace(secret, "***")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)[:LIMIT]


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Return what must never be told, longest first: secret variables, and passwords inside addresses.

    >>> secrets_of({"CYBERSEC_MLOPS_DATABASE_URL": "postgresql://me:hidden@db/a", "AWS_SECRET_ACCESS_KEY": "key"})
    ['hidden']
    """
    found: set[str] = set()
    for name, value in environ.items():
        if _SECRET_NAME.search(name):
            found.update((value, *split_urls(value)))
        elif name.endswith(("_URL", "_URI")) and "@" in value:
            password = re.search(r"//[^/@:]*:([^/@]*)@", value)
            found.update((password[1], unquote(password[1])) if password else ())
    return sorted((one for one in found if len(one) > 3), key=len, reverse=True)


def split_urls(text: str) -> list[str]:
    """Return the addresses in a text, between blanks or commas.

    >>> split_urls("json://a/b, mailto://c?to=x,y")
    ['json://a/b', 'mailto://c?to=x,y']
    """
    return [url for url in re.split(r"[\s,]+(?=[a-zA-Z0-9]+://)|\s+", text.strip()) if url]


def _send(urls: list[str], title: str, body: str) -> bool:
    logging.getLogger("apprise").disabled = True  # it repeats addresses, secrets included
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules that it loads and that are not used
        notifier = _notifier(urls)
    try:
        taken = bool(notifier.notify(body=body, title=title, body_format="text"))
    except Exception as error:  # noqa: BLE001 - an alert that fails must not hide what it is about
        LOG.warning("the alert could not be sent: %s", type(error).__name__)
        return False
    if not taken:
        LOG.warning("the alert was not taken by every address of CYBERSEC_MLOPS_ALERT_URLS")
    return taken and len(notifier) == len(urls)


def _notifier(urls: list[str]) -> Any:
    import apprise

    notifier = apprise.Apprise()
    for number, url in enumerate(urls, start=1):
        if not notifier.add(url):
            LOG.warning("CYBERSEC_MLOPS_ALERT_URLS: address %d is none that Apprise knows", number)
    return notifier
