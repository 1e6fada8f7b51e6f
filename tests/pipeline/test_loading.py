"""What is loaded is not searched for garbage, and what is needed later is imported only while there is time."""

from __future__ import annotations

import gc
import importlib.util
from concurrent.futures import Future

import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline import loading as module
from cybersec_mlops.pipeline.loading import import_until, loading


def test_garbage_is_collected_again_afterwards_also_after_an_error() -> None:
    def fail() -> None:
        with loading():
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert gc.isenabled()


def test_where_it_was_not_collected_it_is_not_afterwards() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_needed_later_is_imported_until_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    answered: Future[None] = Future()
    imported: list[str] = []

    def load(name: str) -> None:
        imported.append(name)
        if len(imported) == 2:
            answered.set_result(None)

    monkeypatch.setattr("importlib.import_module", load)
    import_until(answered)
    assert imported == list(module.NEEDED_LATER[:2])


def test_a_server_that_does_not_start_is_told() -> None:
    failed: Future[None] = Future()
    failed.set_exception(PlatformError("it ended"))
    with pytest.raises(PlatformError, match="it ended"):
        import_until(failed)


@pytest.mark.parametrize("name", module.NEEDED_LATER)
def test_it_is_there(name: str) -> None:
    assert importlib.util.find_spec(name) is not None
