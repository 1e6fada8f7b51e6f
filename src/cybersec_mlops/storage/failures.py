"""What a store's client reports, in one sentence that names endpoint and bucket and never a secret."""

from __future__ import annotations

import re
from typing import Final

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from cybersec_mlops.errors import CybersecMlopsError, DataError, PlatformError

TRANSPORT = (BaseError, OSError)
"""What obstore raises when a store fails; FileNotFoundError is an OSError."""


def explain(error: Exception, *, doing: str, where: str, uri: str) -> CybersecMlopsError:
    """Turn a client's exception into ours.

    Parameters
    ----------
    error : Exception
        As obstore raised it.
    doing : str
        The verb: "read", "write", "list", "delete".
    where : str
        The store for a reader, e.g. ``bucket 'mlops-raw' at http://s3.lan:9000``.
    uri : str
        The object.

    Returns
    -------
    DataError
        The object is not there.
    PlatformError
        Everything else.
    """
    text = str(error)
    if "NoSuchBucket" in text:
        return PlatformError(f"{where} does not exist", hint="create it, or correct the store URL")
    if isinstance(error, FileNotFoundError):
        return DataError(f"{uri} is not in {where}", hint="was it deleted? the phase that wrote it can be run again")
    sentence, hint = _reason(error, text)
    return PlatformError(f"cannot {doing} {uri} in {where}: {sentence}", hint=hint)


_CREDENTIALS: Final = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the bucket's policy, and this machine's clock"


def _reason(error: Exception, text: str) -> tuple[str, str]:
    if "RequestTimeTooSkewed" in text or "RequestExpired" in text:
        return "the clocks of this machine and of the server differ too much", "let both be set by NTP"
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or re.search(
        r"\b40[13]\b", text.split("\n")[0]
    ):
        return "the credentials were refused", _CREDENTIALS
    if isinstance(error, PermissionError) or "PermissionDenied" in text:
        return "permission denied", "check the owner and mode of the folder"
    if "StorageFull" in text or "No space left" in text:
        return "no space left on the device", "free some space and run the same command again"
    if "ConnectionRefused" in text:
        return "the connection was refused", "is the server running, and is AWS_ENDPOINT_URL right?"
    if "dns error" in text:
        return "the host name is unknown", "check AWS_ENDPOINT_URL"
    if re.search(r"\bTimedOut\b|kind: Timeout|operation timed out", text):
        return "no answer in time", "the server is down, frozen or overloaded; run the same command again later"
    if "certificate" in text.lower():
        return "the TLS certificate was not accepted", "point AWS_CA_BUNDLE at the PEM file of the server's CA"
    return _first_line(text), "the server's own log says more"


def _first_line(text: str, limit: int = 300) -> str:
    line = text.split("\n", 1)[0][:limit]
    return re.sub(r"[^\x20-\x7e]", "?", line) or "unknown failure"
