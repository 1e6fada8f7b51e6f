"""The laws of every reader, held over this one."""

from pathlib import Path

import pytest
from acme_reader import Acme

from cybersec_mlops.ingestion.conformance import LAWS

SAMPLE = (Path(__file__).parents[1] / "sample.csv").read_bytes()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law):
    """Hold one of them."""
    law(Acme(), SAMPLE)
