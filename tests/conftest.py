"""Settings of all tests."""

import os

# Tiny networks lose more by handing work to a second thread than they gain; set before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

from cytoshift.core import threads

threads.wait_briefly()
threads.THREADS = 1  # as in the line above; what follows from the number of threads has tests of its own

# How long an example takes depends on what else the machine does; a test must not.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
