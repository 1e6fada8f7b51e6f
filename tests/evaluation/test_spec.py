from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from cybersec_mlops.evaluation.spec import EvaluationSpec, GateSpec


def test_it_is_frozen_and_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        EvaluationSpec.model_validate({"resample": 10})
    with pytest.raises(ValidationError):
        EvaluationSpec().seed = 1


@pytest.mark.parametrize("wrong", [{"prevalence": 0.0}, {"resamples": 1}, {"fixed_false_positive_rates": (1.5,)}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EvaluationSpec.model_validate(wrong)


def test_it_survives_json() -> None:
    spec = EvaluationSpec(prevalence=0.02, gate=GateSpec(accepted_findings=("known_shortcut:unsw_sttl",)))
    assert EvaluationSpec.model_validate_json(spec.model_dump_json()) == spec


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, cybersec_mlops.evaluation.spec; print(sorted({'numpy','polars','sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
