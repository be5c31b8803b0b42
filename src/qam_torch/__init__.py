"""qam_torch: Q-learning with adjoint matching for PyTorch.

```python
import qam_torch

# the configuration that `qam-train` would run
config = qam_torch.compose(["algo=qam_e", "env=cube-triple-play", "task=2"])
# train, evaluate, write the run directory
run = qam_torch.fit(config)
# evaluate again
qam_torch.evaluate(run.directory / "checkpoints/last.ckpt", episodes=50)
# observation -> action chunk
policy = qam_torch.load_policy(run.directory / "checkpoints/last.ckpt")
# the published results
qam_torch.published().curve("qam_e", "cube-triple-play", task=2)
```

Names are loaded when they are first used: `import qam_torch.flows` loads torch and torchdiffeq, nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qam_torch.config.composition import compose
    from qam_torch.export import export_policy
    from qam_torch.inference.evaluate import evaluate
    from qam_torch.inference.policy import LoadedPolicy, load_policy
    from qam_torch.paper import published
    from qam_torch.run import fit
    from qam_torch.training.fit import RunResult
    from qam_torch.types import QamError

__version__ = "0.2.0.dev0"
__all__ = [
    "LoadedPolicy",
    "QamError",
    "RunResult",
    "__version__",
    "compose",
    "evaluate",
    "export_policy",
    "fit",
    "load_policy",
    "published",
]

_HOME = {
    "LoadedPolicy": "qam_torch.inference.policy",
    "QamError": "qam_torch.types",
    "RunResult": "qam_torch.training.fit",
    "compose": "qam_torch.config.composition",
    "evaluate": "qam_torch.inference.evaluate",
    "export_policy": "qam_torch.export",
    "fit": "qam_torch.run",
    "load_policy": "qam_torch.inference.policy",
    "published": "qam_torch.paper",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qam_torch' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
