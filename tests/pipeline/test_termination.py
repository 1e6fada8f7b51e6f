"""SIGTERM ends a command in order, once, and in any case in time."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

from cybersec_mlops.pipeline.termination import EXIT_CODE, ending_on_sigterm

BEGIN = """
import os, signal, sys, threading, time
from cybersec_mlops.pipeline.termination import Terminated, ending_on_sigterm
def wait():
    print("ready", flush=True)
    time.sleep(30)
"""
IN_ORDER = """
try:
    with ending_on_sigterm():
        wait()
except Terminated:
    os.kill(os.getpid(), signal.SIGTERM)
    print("tidied up", flush=True)
    sys.exit(143)
"""
HELD_UP = """
try:
    with ending_on_sigterm(0.2):
        wait()
except Terminated:
    time.sleep(30)
"""
ANOTHER_HANDLER = """
def other(number, frame):
    signal.signal(signal.SIGTERM, before)
    os.kill(os.getpid(), signal.SIGTERM)
with ending_on_sigterm(20):
    before = signal.signal(signal.SIGTERM, other)
    try:
        wait()
    except Terminated:
        print("handed on", flush=True)
        os._exit(143)
"""


LOST = """
from cybersec_mlops.pipeline.termination import raise_if_asked
class Dropping:
    def __del__(self):
        wait()
try:
    with ending_on_sigterm(20):
        raise_if_asked()
        Dropping()
        print("went on", flush=True)
        raise_if_asked()
        print("did another step", flush=True)
except Terminated:
    sys.exit(143)
"""


def end(code: str) -> tuple[int, str, str, float]:
    """Run a program, send it SIGTERM when it is ready; return exit code, outputs and seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        return process.returncode, out, err, time.monotonic() - began


def test_it_ends_in_order_and_a_second_signal_changes_nothing() -> None:
    code, out, err, _ = end(IN_ORDER)
    assert (code, out, err) == (EXIT_CODE, "tidied up\n", "")


def test_whatever_holds_it_up_it_ends_in_time() -> None:
    code, _, _, seconds = end(HELD_UP)
    assert code == EXIT_CODE
    assert seconds < 10


def test_a_handler_that_hands_the_signal_on_is_let_do_so() -> None:
    code, out, err, _ = end(ANOTHER_HANDLER)
    assert (code, out, err) == (EXIT_CODE, "handed on\n", "")


def test_a_signal_that_python_dropped_ends_it_before_the_next_step() -> None:
    code, out, err, _ = end(LOST)
    assert (code, out) == (EXIT_CODE, "went on\n")
    assert "Exception ignored" in err


def test_afterwards_everything_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ending_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_in_another_thread_nothing_is_done() -> None:
    seen: list[object] = []

    def look() -> None:
        with ending_on_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
