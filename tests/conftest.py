"""Settings of all tests."""

import os
import signal

# Tiny networks lose more by handing work to a second thread than they gain; set before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from cytoshift.core import signals, threads
from cytoshift.core.provenance import SayOnce

threads.wait_briefly()
threads.THREADS = 1  # as in the line above; what follows from the number of threads has tests of its own

# How long an example takes depends on what else the machine does; a test must not.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def sentences_are_said(monkeypatch):
    """Those that a process says once, each test hears anew."""
    monkeypatch.setattr(SayOnce, "said", set())


@pytest.fixture
def signals_arrive():
    """Under nohup, or in the background of a plain shell, signals are ignored, and children inherit it."""
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in signals.NAMES)}
    deaf = [number for number, action in before.items() if action is signal.SIG_IGN]
    for number in deaf:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number in deaf:
        signal.signal(number, signal.SIG_IGN)
