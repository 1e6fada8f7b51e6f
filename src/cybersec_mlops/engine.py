"""Where the tasks of a run work: in threads of its process, or on a Dask cluster. Not part of any result's key."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

FORMS = "threads, dask, dask://local?workers=N, dask://HOST:PORT or dask+tls://HOST:PORT"


@dataclass(frozen=True, slots=True)
class Engine:
    """A parsed ``--engine``.

    Examples
    --------
    >>> Engine.parse("dask://scheduler:8786").address
    'tcp://scheduler:8786'
    >>> Engine.parse("dask://local?workers=2").workers
    2
    """

    is_dask: bool = False
    address: str | None = None
    """The scheduler's, as Dask writes it; None for a cluster of processes on this machine."""
    workers: int | None = None
    """Processes of a cluster on this machine; None for as many as cores."""

    @classmethod
    def parse(cls, text: str) -> Engine:
        """Read what a user wrote.

        Raises
        ------
        ValueError
            It is none of `FORMS`.
        """
        if text == "threads":
            return cls()
        if text == "dask":
            return cls(is_dask=True)
        url = urlsplit(text)
        try:
            port = url.port
        except ValueError:
            port = None
        if url.scheme == "dask" and url.netloc == "local" and url.path in ("", "/"):
            return cls(is_dask=True, workers=_workers(url.query, text))
        protocol = {"dask": "tcp", "dask+tls": "tls"}.get(url.scheme)
        plain = not (url.query or url.fragment or url.path.strip("/") or "@" in url.netloc)
        if protocol and url.hostname and port and plain:
            return cls(is_dask=True, address=f"{protocol}://{url.netloc}")
        raise ValueError(f'"{text}" is not an engine: use {FORMS}')


def _workers(query: str, text: str) -> int | None:
    given = parse_qs(query, keep_blank_values=True)
    if not given:
        return None
    (count, *more) = given.pop("workers", [""])
    if given or more or not count.isdecimal() or not 1 <= int(count) <= 1024:
        raise ValueError(f'"{text}" is not an engine: use dask://local?workers=N with N from 1 to 1024')
    return int(count)
