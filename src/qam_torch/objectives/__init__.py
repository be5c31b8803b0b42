"""One loss a file: tensors, callables and the loss's own few numbers in, loss per member and metrics out."""

from qam_torch.objectives.adjoint_matching import AdjointTargets, adjoint_matching, matching_targets
from qam_torch.objectives.advantage import advantage_weights
from qam_torch.objectives.behavior import behavior_loss
from qam_torch.objectives.distillation import distillation_loss
from qam_torch.objectives.entropy import entropy_loss, temperature_loss
from qam_torch.objectives.noisy_value import linex_loss, noisy_value_regression
from qam_torch.objectives.path_control import path_control_loss
from qam_torch.objectives.td import pessimistic_value, td_loss, td_target
from qam_torch.objectives.value import expectile_loss, value_regression
from qam_torch.objectives.value_maximization import value_maximization

__all__ = [
    "AdjointTargets",
    "adjoint_matching",
    "advantage_weights",
    "behavior_loss",
    "distillation_loss",
    "entropy_loss",
    "expectile_loss",
    "linex_loss",
    "matching_targets",
    "noisy_value_regression",
    "path_control_loss",
    "pessimistic_value",
    "td_loss",
    "td_target",
    "temperature_loss",
    "value_maximization",
    "value_regression",
]
