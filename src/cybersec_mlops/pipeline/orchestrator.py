"""The Prefect server from a run's side: wait until it is ready, say so meanwhile, and know its failures from ours."""

from __future__ import annotations

import logging
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.waiting import tell

READY_TIMEOUT_S: Final = 60
"""How long a command waits for a server that is starting; a container waits longer (`pipeline.entrypoint`)."""
HINT: Final = "look at the Prefect server, or at PREFECT_API_URL; then run the same command again"
_POLL_S: Final = 2.0


def wait_for_api(url: str, timeout_s: float) -> None:
    """Return when the Prefect API is ready.

    A flow that starts while its server is away fails within seconds and without a retry.

    Raises
    ------
    ConfigError
        It is no address.
    PlatformError
        When it is not ready after `timeout_s` seconds.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            "PREFECT_API_URL is not an http(s) address", hint="write it as http://prefect-server:4200/api"
        )
    deadline = time.monotonic() + timeout_s
    while (reason := _unready(url)) is not None:
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"the Prefect API at {without_user(url)} was not ready after {timeout_s:.0f} s: {reason}", hint=HINT
            )
        tell(f"the Prefect API at {without_user(url)}", f"{reason}; up to {timeout_s:.0f} s")
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))


def _unready(url: str) -> str | None:
    """Return why the API is not ready, None when it is."""
    authority = os.environ.get("PREFECT_API_SSL_CERT_FILE")
    try:
        context = ssl.create_default_context(cafile=authority) if url.startswith("https") else None
        with urllib.request.urlopen(f"{url.rstrip('/')}/ready", timeout=10, context=context) as answer:  # noqa: S310
            return None if answer.status == 200 else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError) as error:  # URLError is an OSError; an address that cannot be parsed a ValueError
        return str(getattr(error, "reason", error))


def without_user(url: str) -> str:
    """Return an address without what may be a password.

    >>> without_user("http://me:hidden@prefect:4200/api")
    'http://prefect:4200/api'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def server_failure(error: BaseException | None) -> PlatformError | None:
    """Return what Prefect's client raised as a `PlatformError`, where it means that the server is away.

    Prefect raises what its HTTP client does, or a RuntimeError when it cannot ask for the server's version. Where it
    was about to report a failure of ours (PostgreSQL is away, and so its server fails as well), that one is returned.
    """
    import httpx

    away: str | None = None
    if isinstance(error, httpx.TimeoutException):
        away = "it did not answer in time"
    elif isinstance(error, httpx.TransportError):
        away = "it could not be reached"
    elif isinstance(error, httpx.HTTPStatusError) and error.response.status_code >= 500:
        away = f"it answered HTTP {error.response.status_code}"
    elif isinstance(error, RuntimeError) and str(error).startswith("Failed to reach API at"):
        away = "it could not be reached"
    if away is None:
        return None
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, PlatformError):
        behind = behind.__cause__ or behind.__context__
    if behind is not None:
        return behind
    url = without_user(os.environ.get("PREFECT_API_URL", ""))
    return PlatformError(f"the Prefect server at {url} failed: {away}", hint=HINT)


class _Retries(logging.Handler):
    """Tells a person what Prefect's client tells its debug log only: that it tries again, and how often.

    Not of the first time that a server answers that it is busy: SQLite does so for a moment where many tasks begin at
    once, and nobody is told of a wait that short (`waiting.FIRST_S`).
    """

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        found = re.search(r"will be made in ([\d.]+)\s*s.*attempt (\d+/\d+)", said)
        if found and not (said.startswith("Received response") and found[2].startswith("1/")):
            url = without_user(os.environ.get("PREFECT_API_URL", ""))
            tell(f"the Prefect server at {url}", f"another attempt in {float(found[1]):.0f} s ({found[2]})")


def tell_of_retries() -> None:
    """Let `waiting.tell` say when Prefect's client waits for its server; call it again at will."""
    logger = logging.getLogger("prefect.client")
    logger.setLevel(logging.DEBUG)
    if not any(isinstance(handler, _Retries) for handler in logger.handlers):
        logger.addHandler(_Retries(logging.DEBUG))
