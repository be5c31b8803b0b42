"""Flow matching and adjoint matching on tensors and callables.

Importing it loads torch and torchdiffeq, but neither Lightning nor environments.
"""

from qam_torch.flows.adjoint import lean_adjoint, solve_lean_adjoint, terminal_adjoint
from qam_torch.flows.ancestral import (
    AncestralStep,
    ancestral_adjoints,
    ancestral_matching_loss,
    ancestral_step,
    sample_ancestral,
)
from qam_torch.flows.diffusion import (
    clean_step,
    diffuse,
    posterior_step,
    predict_clean,
    sample_diffusion,
    vp_alpha_bar,
)
from qam_torch.flows.discretization import AncestralDiscretization, Discretization, ShiftedDiscretization
from qam_torch.flows.guidance import guidance_velocity, value_gradient
from qam_torch.flows.matching import adjoint_matching_loss, node_sigmas, stochastic_control_loss
from qam_torch.flows.memoryless import MemorylessPath, memoryless_drift, memoryless_sigma, sample_memoryless
from qam_torch.flows.ode import integrate, integrate_path, sample_flow
from qam_torch.flows.path import flow_matching_loss, interpolate
from qam_torch.flows.reversal import euler_step, reverse_flow, reverse_path

__all__ = [
    "AncestralDiscretization",
    "AncestralStep",
    "Discretization",
    "MemorylessPath",
    "ShiftedDiscretization",
    "adjoint_matching_loss",
    "ancestral_adjoints",
    "ancestral_matching_loss",
    "ancestral_step",
    "clean_step",
    "diffuse",
    "flow_matching_loss",
    "guidance_velocity",
    "integrate",
    "integrate_path",
    "interpolate",
    "lean_adjoint",
    "memoryless_drift",
    "memoryless_sigma",
    "node_sigmas",
    "posterior_step",
    "predict_clean",
    "reverse_flow",
    "reverse_path",
    "sample_ancestral",
    "sample_diffusion",
    "sample_flow",
    "sample_memoryless",
    "solve_lean_adjoint",
    "euler_step",
    "stochastic_control_loss",
    "terminal_adjoint",
    "value_gradient",
    "vp_alpha_bar",
]
