"""Suites: one object per source of data, which loads its data, makes its environments, and checks both together.

`env.source` in a configuration names the suite. `suite_named` finds it; no other module compares the name.
"""

from qam_torch.suites.base import Request, Suite, TaskData
from qam_torch.suites.registry import load_data, suite_named, suite_of

__all__ = ["Request", "Suite", "TaskData", "load_data", "suite_named", "suite_of"]
