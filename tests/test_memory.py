from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from cybersec_mlops.memory import ARENAS

THREADS = """
import ctypes, re, sys, threading
from cybersec_mlops.memory import share_arenas
print(share_arenas(), flush=True)
together = threading.Barrier(8)
def work():
    together.wait()
    ctypes.CDLL(None).malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fflush(ctypes.c_void_p(file))
"""


def arenas(**environment: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return done.stdout.split("\n")[0], len(re.findall("<heap nr", done.stdout))


ON_GLIBC = "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")


@pytest.mark.skipif(not ON_GLIBC, reason="another C library")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, ("True", ARENAS)), ({"MALLOC_ARENA_MAX": "5"}, ("False", 5))],
    ids=["by itself", "the environment says otherwise"],
)
def test_threads_share_arenas(environment: dict[str, str], expected: tuple[str, int]) -> None:
    assert arenas(**environment) == expected
