"""The transformation's parameters are checked before anything runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cybersec_mlops.transformation.spec import TransformationSpec


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows_s": ()},
        {"timezone": "Mars/Phobos"},
        {"timezone": "../etc"},
        {"windows_s": (0,)},
        {"slice_rows": 1},
        {"colour": 1},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TransformationSpec.model_validate(wrong)
