"""The mark of simulated files; that every file carries it is tested where files are written."""

from __future__ import annotations

import pytest

from cybersec_mlops.simulate.mark import is_synthetic_head


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"#separator \\x09\n#path\tconn\n",
        b"#synthetic",
        b'{"ts":1.0,"uid":"C1"}\n{"_synthetic":true}\n',
        b"id,Flow ID,Src IP\n1,a,b\n",
        b"1,#synthetic\t\n",
        b"\x00\xff" * 100,
    ],
)
def test_other_files_are_not_taken_for_ours(head: bytes) -> None:
    assert not is_synthetic_head(head)
