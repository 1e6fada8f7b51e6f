"""Real services for the tests that ask for them, and no search for garbage among the tests themselves."""

from __future__ import annotations

import gc

pytest_plugins = ["tests.services"]


def pytest_collection_finish() -> None:
    """Let the collector pass over thousands of collected tests and all that they import: it found nothing there."""
    gc.freeze()
