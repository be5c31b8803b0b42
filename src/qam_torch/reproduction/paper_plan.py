"""The runs behind the published results of Li & Levine 2026, and the runs of RQL on the same tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qam_torch.config.composition import compose, config_directory
from qam_torch.config.overrides import parsed
from qam_torch.reproduction.arguments import chosen, require_neutral
from qam_torch.training.settings import RunSettings, read_settings
from qam_torch.types import QamError

__all__ = ["DOMAINS", "METHODS", "SEEDS", "Plan"]

DOMAINS = (
    "scene-play", "puzzle-3x3-play", "puzzle-4x4-play", "cube-double-play", "cube-triple-play", "cube-quadruple-play",
    "antmaze-large-navigate", "antmaze-giant-navigate", "humanoidmaze-medium-navigate", "humanoidmaze-large-navigate",
)  # fmt: skip
"""Domains of Li & Levine 2026. The tasks, seeds and steps below have the same source. RQL's runs have 4 seeds."""

IN = "in the paper"
TASKS = ("1", "2", "3", "4", "5")
SEEDS = tuple(10_001 * number for number in range(1, 13))
ONLINE_STEPS = 500_000
ONLINE_ONLY = ("rlpd",)
OFFLINE_ONLY = ("rql",)
"""The paper of RQL, Oberai, Park & Levine 2026, has the same tasks and no online phase."""

METHODS = tuple(sorted(path.stem for path in (config_directory() / "tuned" / "paper").glob("*.yaml")))


class Plan(NamedTuple):
    """The planned runs of the paper's protocol: every method on every task of every domain.

    Attributes:
        methods: names of the methods, as in algo=NAME.
        domains: names of the domains, as in env=NAME.
        tasks: numbers of the tasks.
        offline: whether the online phase is left out.
        neutral: additional overrides that do not change any result.
    """

    methods: tuple[str, ...]
    domains: tuple[str, ...]
    tasks: tuple[str, ...]
    offline: bool
    neutral: tuple[str, ...]

    @classmethod
    def of(
        cls,
        methods: Sequence[str],
        domains: Sequence[str],
        tasks: Sequence[str],
        offline: bool,
        overrides: Sequence[str],
    ) -> Plan:
        """Check the arguments, and build a plan. The name "all" selects all methods, domains or tasks.

        Raises:
            QamError: a name or an override is outside the protocol, or a method does not have the chosen phases.
        """
        names = chosen("--methods", methods, METHODS, IN)
        left_out = ONLINE_ONLY if offline else OFFLINE_ONLY
        if "all" in methods:
            names = tuple(name for name in names if name not in left_out)
        if offline and set(names) & set(ONLINE_ONLY):
            raise QamError(f"--methods {','.join(ONLINE_ONLY)} has no offline phase: remove it or --offline")
        if not offline and set(names) & set(OFFLINE_ONLY):
            raise QamError(f"--methods {','.join(OFFLINE_ONLY)} has no published online phase: give --offline")
        require_neutral(overrides, "the published runs")
        domain, task = chosen("--domains", domains, DOMAINS, IN), chosen("--tasks", tasks, TASKS, IN)
        return cls(names, domain, task, offline, tuple(overrides))

    @property
    def runs(self) -> int:
        """Number of runs. Each run is one process with twelve seeds."""
        return len(self.methods) * len(self.domains) * len(self.tasks)

    def command_overrides(self, launcher: str | None = None) -> list[str]:
        """Return the overrides for `qam-train -m`. Rerunning the same command completes unfinished runs."""
        launched = [] if launcher in (None, "basic") else [f"hydra/launcher=qam_{launcher}"]
        return [
            *launched,
            *self._common(),
            f"algo={','.join(self.methods)}",
            f"env={','.join(self.domains)}",
            f"task={','.join(self.tasks)}",
        ]

    def settings(self) -> Iterator[tuple[str, str, RunSettings]]:
        """Yield method, domain and settings of one run per method and domain; the cost does not depend on the task."""
        for method, domain in itertools.product(self.methods, self.domains):
            words = [word for word in self._common() if not parsed(word).key_or_group.startswith("hydra")]
            config = compose([*words, f"algo={method}", f"env={domain}", f"task={self.tasks[0]}"])
            yield method, domain, read_settings(config)

    def _common(self) -> list[str]:
        own = {parsed(word).key_or_group for word in self.neutral}
        # The published seeds were separate runs, so one that diverges must not stop the other eleven.
        defaults = {"skip_completed": "true", "on_divergence": "freeze"}
        return [
            "experiment=paper",
            f"seeds=[{','.join(map(str, SEEDS))}]",
            *([] if self.offline else [f"online_steps={ONLINE_STEPS}"]),
            *(f"{key}={value}" for key, value in defaults.items() if key not in own),
            *self.neutral,
        ]
