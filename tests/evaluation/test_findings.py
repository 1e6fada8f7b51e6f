from __future__ import annotations

import dataclasses

import pytest

from cybersec_mlops.evaluation.findings import Finding


def test_a_finding_cannot_be_changed_after_the_fact() -> None:
    finding = Finding("known_shortcut", "severe", ("unsw_sttl",), 0.9, None, "text")
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.severity = "info"  # type: ignore[misc]
