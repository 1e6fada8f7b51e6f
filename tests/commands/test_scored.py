"""The table of alerts: what logs say is shown as text, and long texts are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cybersec_mlops.commands.scored import first_alerts, print_scored
from cybersec_mlops.storage.layers import Layers

HOSTILE = "\x1b[2J[red]\u202eevil\x07"


def alert(rank: int, **changes: Any) -> dict[str, Any]:
    own = {"rank": rank, "score": 9.0, "p_value": 0.001, "explanation": [{"feature": "a", "usual": HOSTILE}]}
    return {"source": {"address": HOSTILE * 20, "port": 1}, "cybersec_mlops": own, **changes}


def document(alerts: int) -> dict[str, Any]:
    metrics = {
        "model": {"dataset": "day", "version": None, "sha256": "ab" * 32},
        "synthetic": False,
        "rows": 10,
        "alerts": alerts,
        "alerting_rows": 7,
        "per_day": 2,
        "quarantined": 1,
        "quarantine_reasons": {HOSTILE: 1},
        "calibration": {"alert_share": 0.2, "nominal_rate": 0.01},
    }
    return {"run_id": "r1", "metrics": metrics, "alerts": {"out": None, "uri": f"file:///{HOSTILE}"}}


def test_hostile_text_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_scored(document(5), [alert(1), {"cybersec_mlops": alert(2)["cybersec_mlops"]}])
    shown = capsys.readouterr().err
    for sign in ("\x1b", "\u202e", "\x07"):
        assert sign not in shown
    assert "[red]" in shown
    assert "... and 3 more" in shown
    assert "5 more were left out by the limit of 2 a day" not in shown
    assert "2 more were left out by the limit of 2 a day" in shown
    assert max(map(len, shown.splitlines())) < 300


def test_only_whole_alerts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = Layers.open("memory://scored-{layer}")
    data = b"".join(json.dumps({"n": number}).encode() + b"\n" for number in range(5))
    stored = layers.eval.put_bytes("alerts.ndjson", data).to_dict()
    told = {"alerts": {"ndjson": stored}}
    assert first_alerts(told, layers, 3) == [{"n": 0}, {"n": 1}, {"n": 2}]
    monkeypatch.setattr("cybersec_mlops.commands.scored._FIRST_BYTES", 12)
    assert first_alerts(told, layers, 3) == [{"n": 0}]
    empty = layers.eval.put_bytes("empty.ndjson", b"").to_dict()
    assert first_alerts({"alerts": {"ndjson": empty}}, layers, 3) == []
