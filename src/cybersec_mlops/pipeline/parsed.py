"""Where a run keeps what it parses while it stores it, until its transformation or scoring has used it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cybersec_mlops.config import RunSpec
from cybersec_mlops.engine import Engine
from cybersec_mlops.pipeline.platform import open_platform


@contextmanager
def place_for_parsed(spec: RunSpec) -> Iterator[str | None]:
    """Give a scratch folder; None where others parse, on a Dask cluster: they take originals from RAW."""
    if Engine.parse(spec.engine).is_dask:
        yield None
        return
    with open_platform().scratch() as folder:
        yield str(folder)
