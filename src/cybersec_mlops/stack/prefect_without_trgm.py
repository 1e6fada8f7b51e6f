"""Runs the ``prefect`` command on a PostgreSQL that lacks the extension pg_trgm, as those from pip packages do.

Prefect's migrations ask for that extension and for indexes made with it. Their one use is a faster search for a part
of a name in the user interface; the search itself works without them. Everything else is Prefect as it is.
Run as ``python -m cybersec_mlops.stack.prefect_without_trgm server start ...``.
"""

from __future__ import annotations

import runpy
from typing import Any

from alembic import op


def leave_out_trgm() -> None:
    """Make the migrations of this process pass over every statement about trigram indexes."""
    execute = op.execute

    def without_trgm(statement: Any, *arguments: Any, **named: Any) -> None:
        if "trgm" not in str(statement):
            execute(statement, *arguments, **named)

    op.execute = without_trgm  # type: ignore[assignment]


if __name__ == "__main__":
    leave_out_trgm()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
