"""Shared by all rooms' tests."""

from __future__ import annotations

import os

# Before torch is imported anywhere: tests are many small operations, which threads only slow down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
