from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cybersec_mlops.native import ARENAS, ENVIRONMENT

THREADS = """
import ctypes, re, sys, threading
from cybersec_mlops.native import tune_native
print(tune_native(), flush=True)
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


BLOCKS = """
import resource
from cybersec_mlops.native import tune_native
tune_native()
bytearray(20 << 20)
begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray(20 << 20)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun) * resource.getpagesize() >> 20)
"""


def output(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    own = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=own).stdout


def arenas(**environment: str) -> tuple[str, int]:
    told = output(THREADS, **environment)
    return told.split("\n")[0], len(re.findall("<heap nr", told))


ON_GLIBC = "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")


@pytest.mark.skipif(not ON_GLIBC, reason="another C library")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, ("True", ARENAS)), ({"MALLOC_ARENA_MAX": "5"}, ("True", 5))],
    ids=["by itself", "the environment says otherwise"],
)
def test_threads_share_arenas(environment: dict[str, str], expected: tuple[str, int]) -> None:
    assert arenas(**environment) == expected


@pytest.mark.skipif(not ON_GLIBC, reason="another C library")
def test_the_memory_of_a_block_is_used_for_the_next() -> None:
    assert int(output(BLOCKS)) < 20
    assert int(output(BLOCKS, MALLOC_MMAP_THRESHOLD_="131072", MALLOC_TRIM_THRESHOLD_="131072")) >= 190


KEPT = """
import os
from cybersec_mlops.native import tune_native
tune_native()
os.environ["_RJEM_MALLOC_CONF"] += ",stats_print:true"
import polars
polars.DataFrame({"a": [1]}).sort("a")
"""


@pytest.mark.skipif(not ON_GLIBC, reason="another allocator")
@pytest.mark.parametrize(("environment", "kept_ms"), [({}, 5000), ({"_RJEM_MALLOC_CONF": "dirty_decay_ms:70"}, 70)])
def test_polars_keeps_what_is_freed_for_some_seconds(environment: dict[str, str], kept_ms: int) -> None:
    command = [sys.executable, "-c", KEPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert f"opt.dirty_decay_ms: {kept_ms} " in done.stderr


def test_the_image_sets_what_the_command_line_does() -> None:
    dockerfile = (Path(__file__).parents[1] / "deploy" / "Dockerfile").read_text()
    assert {f"{name}={value}" for name, value in ENVIRONMENT.items()} <= set(dockerfile.split())
