"""What may stand behind --engine."""

from __future__ import annotations

import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.engine import Engine
from cybersec_mlops.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("threads", Engine()),
        ("dask", Engine(is_dask=True)),
        ("dask://local", Engine(is_dask=True)),
        ("dask://local?workers=3", Engine(is_dask=True, workers=3)),
        ("dask://scheduler.mlops:8786", Engine(is_dask=True, address="tcp://scheduler.mlops:8786")),
        ("dask://[::1]:8786", Engine(is_dask=True, address="tcp://[::1]:8786")),
        ("dask+tls://scheduler:8786", Engine(is_dask=True, address="tls://scheduler:8786")),
    ],
)
def test_an_engine_is_read(text: str, engine: Engine) -> None:
    assert Engine.parse(text) == engine


@pytest.mark.parametrize(
    "text",
    [
        *("", "spark", "dask://", "dask://host", "dask://host:x", "dask://host:99999", "dask://user:word@host:1"),
        *(
            "dask://host:1/path",
            "dask://local?workers=0",
            "dask://local?workers=",
            "dask://local?threads=2",
            "tcp://h:1",
        ),
    ],
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="use "):
        Engine.parse(text)
    with pytest.raises(ConfigError, match="engine"):
        RunSpec.parse({"engine": text}, where="the command line")
