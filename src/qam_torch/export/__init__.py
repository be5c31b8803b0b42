"""Policies for other programs: a checkpoint's policy as a torch.export program, an ONNX model, or weights."""

from qam_torch.export.formats import FORMATS, export_policy

__all__ = ["FORMATS", "export_policy"]
