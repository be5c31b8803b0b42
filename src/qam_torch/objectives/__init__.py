"""Losses of tensors, callables and their own hyperparameters; each returns the loss per member (P,) and its metrics.

Sizes: P members, K critics, B rows, O values per observation, D = h A values per chunk of h actions. Observations are
normalized if the run normalizes them; `valid` (P, B) is 0 or 1.
"""

from qam_torch.objectives.adjoint_matching import AdjointTargets, adjoint_matching, matching_targets
from qam_torch.objectives.advantage import advantage_weights
from qam_torch.objectives.behavior import behavior_loss
from qam_torch.objectives.chunk_matching import chunk_matching_loss
from qam_torch.objectives.cloning import likelihood_loss, squared_distance_loss
from qam_torch.objectives.denoising import denoising_loss, score_ascent_loss, score_matching_loss
from qam_torch.objectives.distillation import distillation_loss
from qam_torch.objectives.entropy import entropy_loss, temperature_loss
from qam_torch.objectives.expectile import expectile_loss
from qam_torch.objectives.expectile_td import expectile_td_loss
from qam_torch.objectives.flow_step_value import flow_step_value_loss
from qam_torch.objectives.linex import linex_loss
from qam_torch.objectives.path_control import path_control_loss
from qam_torch.objectives.regression import value_regression
from qam_torch.objectives.td import pessimistic_value, td_loss, td_target
from qam_torch.objectives.value_maximization import normalized_value_maximization, value_maximization

__all__ = [
    "AdjointTargets",
    "adjoint_matching",
    "advantage_weights",
    "behavior_loss",
    "denoising_loss",
    "distillation_loss",
    "entropy_loss",
    "expectile_loss",
    "expectile_td_loss",
    "likelihood_loss",
    "linex_loss",
    "matching_targets",
    "normalized_value_maximization",
    "path_control_loss",
    "pessimistic_value",
    "score_ascent_loss",
    "score_matching_loss",
    "squared_distance_loss",
    "chunk_matching_loss",
    "flow_step_value_loss",
    "td_loss",
    "td_target",
    "temperature_loss",
    "value_maximization",
    "value_regression",
]
