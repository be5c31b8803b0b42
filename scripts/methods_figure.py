"""The diagram of the methods' parts: python scripts/methods_figure.py writes docs/images/methods.svg."""

from __future__ import annotations

from diagrams import box, card, digest, save, write
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from qam_torch.plotting.style import BLUE, GREEN, ORANGE, VERMILION


def frame(axes: Axes, place: tuple[float, float, float, float], title: str, color: str) -> None:
    """A frame around boxes, with a title in its upper left corner."""
    left, bottom, right, top = place
    style = "round,pad=0,rounding_size=6"
    axes.add_patch(FancyBboxPatch((left, bottom), right - left, top - bottom, style, fc=color, ec="none", alpha=0.08))
    axes.add_patch(FancyBboxPatch((left, bottom), right - left, top - bottom, style, fc="none", ec=color, lw=1.2))
    write(axes, left + 9, top - 12, title, 10, bold=True, align="left")


def main() -> None:
    """Draw the diagram."""
    figure, axes = card(568)
    box(axes, (10, 530, 422, 558), "All methods: critics, learned by TD", color="#777777")

    frame(axes, (10, 216, 422, 522), r"Behavior flow $f_\beta$, which imitates the data only", GREEN)
    frame(axes, (20, 372, 412, 498), r"and a flow $f_\theta$, fine-tuned along the memoryless SDE", VERMILION)
    box(axes, (30, 432, 262, 474), "QAM", ["by adjoint matching"], VERMILION)
    box(axes, (272, 432, 402, 474), "BAM", ["by back-propagation"], VERMILION)
    box(axes, (30, 382, 142, 424), "QAM-F", ["+ one-step policy"], BLUE)
    box(axes, (150, 382, 262, 424), "QAM-E", ["+ edit policy"], BLUE)
    write(axes, 272, 403, "acting on top of QAM", 9.5, align="left")
    frame(axes, (20, 294, 412, 364), "and a second policy", BLUE)
    box(axes, (30, 302, 149, 342), "FQL", ["one-step policy"], BLUE)
    box(axes, (157, 302, 275, 342), "FEdit", ["edit policy"], BLUE)
    box(axes, (283, 302, 402, 342), "DSRL", ["policy for the noise"], BLUE)
    frame(axes, (20, 224, 412, 286), "and no second policy", "#777777")
    box(axes, (30, 230, 262, 266), "CGQL, CGQL-M, CGQL-L", ["guided by the critic's gradient"])
    box(axes, (270, 230, 402, 266), "IFQL", ["best of 32 samples"])

    frame(axes, (10, 110, 422, 208), r"One flow $f_\theta$, trained on the data and by the critic", ORANGE)
    for left, right, name, lines in (
        (20, 142, "FAWAC", ["flow matching,", "weights by $Q - V$"]),
        (150, 282, "FBRAC", ["back-propagation", "through all steps"]),
        (290, 412, "RQL", ["value of one step", "of the flow"]),
    ):
        box(axes, (left, 120, right, 182), name, lines, ORANGE)

    frame(axes, (10, 12, 212, 102), "Denoising chain", "#777777")
    box(axes, (20, 22, 106, 76), "QSM", ["regressed onto", "gradient of Q"], size=10)
    box(axes, (116, 22, 202, 76), "DAC", ["moved along", "gradient of Q"], size=10)
    frame(axes, (220, 12, 422, 102), "No flow", "#777777")
    box(axes, (230, 22, 316, 76), "ReBRAC", ["deterministic", "policy"], size=10)
    box(axes, (326, 22, 412, 76), "RLPD", ["Gaussian", "policy"], size=10)
    save(figure, "methods", digest(__file__))


if __name__ == "__main__":
    main()
