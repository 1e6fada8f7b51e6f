from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from cybersec_mlops.training.spec import TrainingSpec


def test_unknown_and_impossible_settings_are_refused() -> None:
    for wrong in ({"tres": 3}, {"test_fraction": 1.0}, {"nominal_false_positive_rate": 0}, {"supervised": "maybe"}):
        with pytest.raises(ValidationError):
            TrainingSpec.model_validate(wrong)


def test_a_spec_does_not_change_and_survives_json() -> None:
    spec = TrainingSpec(seed=7, drop_features=("resp_p",), hidden=(4,))
    with pytest.raises(ValidationError):
        spec.seed = 8
    assert TrainingSpec.model_validate_json(spec.model_dump_json()) == spec


def test_importing_it_loads_no_heavy_library() -> None:
    heavy = {"sklearn", "xgboost", "scipy", "numpy"}
    code = f"import sys, cybersec_mlops.training.spec; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
