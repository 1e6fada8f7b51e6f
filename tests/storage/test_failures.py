from __future__ import annotations

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.storage.failures import explain


def told(error: Exception) -> tuple[str, str]:
    found = explain(error, doing="read", where="bucket 'b' at http://h", uri="s3://b/k")
    assert isinstance(found, PlatformError)
    return found.message, found.hint


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionDeniedError("x"), "the credentials were refused"),
        (GenericError("Client error with status 403 Forbidden"), "the credentials were refused"),
        (PermissionError("x"), "permission denied"),
        (GenericError("x\nStorageFull"), "no space left on the device"),
        (OSError(28, "No space left on device"), "no space left on the device"),
        (GenericError("x\nkind: ConnectionRefused"), "the connection was refused"),
        (GenericError("x\nkind: Timeout"), "no answer in time"),
        (GenericError("something\nelse"), "something"),
        (GenericError("\x1b[31mred"), "?[31mred"),
        (GenericError(""), "unknown failure"),
    ],
)
def test_the_reason_in_one_sentence(error: Exception, expected: str) -> None:
    message, hint = told(error)
    assert message == f"cannot read s3://b/k in bucket 'b' at http://h: {expected}"
    assert hint


def test_an_object_that_is_not_there_is_about_data() -> None:
    found = explain(FileNotFoundError("x"), doing="read", where="folder /f", uri="file:///f/k")
    assert isinstance(found, DataError)
    assert found.message == "file:///f/k is not in folder /f"


def test_a_bucket_that_is_not_there_is_about_the_platform() -> None:
    message, _ = told(FileNotFoundError("<Code>NoSuchBucket</Code>"))
    assert message == "bucket 'b' at http://h does not exist"


def test_a_long_text_is_cut() -> None:
    message, _ = told(GenericError("x" * 10_000))
    assert len(message) < 400
