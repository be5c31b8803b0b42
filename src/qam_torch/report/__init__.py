"""Any number of runs in one report, beside the published results: read, aggregate, render."""

from importlib.util import find_spec

from qam_torch.system.extras import install_command
from qam_torch.types import QamError

_MISSING = [name for name in ("jinja2", "pandas") if find_spec(name) is None]
if _MISSING:
    raise QamError(f"the report requires {' and '.join(_MISSING)}: {install_command('report')}")
