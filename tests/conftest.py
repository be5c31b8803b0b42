"""Shared by all rooms' tests."""

from __future__ import annotations

import os
import signal
import sys

# Before torch is imported anywhere: tests are many small operations, which threads only slow down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from absl import logging as absl_logging

# dm_control's logger takes whatever stderr is when it is imported, and closes it when Hydra configures the logging of a
# later job. Under pytest that is the stream of pytest's own capture; the process's real stderr it never closes.
absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

# As in a terminal: a shell's background job, which these tests may be, hands down ignored interrupts to its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
