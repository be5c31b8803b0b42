"""The diagram of QAM's update: python scripts/data_flow_figure.py writes docs/images/data_flow.svg."""

from __future__ import annotations

from diagrams import arrow, box, card, save, write

from qam_torch.plotting.style import BLUE, GREEN, INK, VERMILION


def main() -> None:
    """Draw the diagram."""
    figure, axes = card(446)
    box(axes, (10, 406, 422, 434), r"Batch:  $s$,  $a$,  $R$,  $m$,  $s'$")
    box(
        axes,
        (10, 304, 180, 380),
        "Critics $Q$: TD loss",
        ["target from $R$, $m$ and", r"$\bar{Q}(s', a')$, $a'$ sampled", r"from $f_\theta$"],
        BLUE,
    )
    box(
        axes,
        (252, 304, 422, 380),
        r"Behavior flow $f_\beta$",
        ["flow matching on", "the actions $a$ of the data"],
        GREEN,
    )
    box(
        axes,
        (130, 222, 306, 270),
        "Noisy path",
        [r"memoryless SDE of $f_\theta$", r"$X_0 \sim N(0, I)$ to $X_T$"],
        VERMILION,
    )
    box(axes, (130, 142, 306, 190), "Lean adjoint", ["from $g_T$ at the path's end", "back to $g_0$"], INK, tint=0.06)
    box(
        axes,
        (130, 50, 306, 110),
        r"Policy flow $f_\theta$: regression",
        [r"of $2(f_\theta - \bar{f}_\beta)/\sigma_i$ onto $-\sigma_i g_i$", "at each $X_i$ (adjoint matching)"],
        VERMILION,
    )
    # Values that a loss receives as constants.
    for points in (
        [(95, 406), (95, 380)],
        [(337, 406), (337, 380)],
        [(218, 406), (218, 270)],
        [(76, 304), (76, 166), (130, 166)],
        [(130, 238), (116, 238), (116, 92), (130, 92)],
        [(218, 222), (218, 190)],
        [(218, 142), (218, 110)],
        [(336, 304), (336, 246), (306, 246)],
        [(372, 304), (372, 166), (306, 166)],
        [(406, 304), (406, 80), (306, 80)],
        [(130, 66), (24, 66), (24, 304)],
    ):
        arrow(axes, points, dashed=True)
    write(axes, 223, 336, "$s$", align="left")
    for y, text in ((284, "last step"), (204, r"drift's"), (192, "Jacobian")):
        write(axes, {284: 332, 204: 316, 192: 316}[y], y, text, 8.5, align="right" if y == 284 else "left")
    write(axes, 314, 91, r"base $\bar{f}_\beta$", 8.5, align="left")
    write(axes, 32, 76, r"samples $a'$", 8.5, align="left")
    write(axes, 80, 284, r"$-\tau\nabla_{\!a}\bar{Q}$", 9.5, align="left")
    write(axes, 112, 206, "$X_i$", 9, align="right")
    write(axes, 223, 206, "$X_i$", 9, align="left")
    write(axes, 223, 126, "$g_i$", 9, align="left")
    arrow(axes, [(22, 26), (52, 26)], dashed=True)
    write(axes, 58, 26, "a constant for the loss that receives it: gradients stop here.", 8.5, align="left")
    write(
        axes, 22, 12, "Each of the three losses moves its own network only. A bar is a Polyak copy.", 8.5, align="left"
    )
    save(figure, "data_flow")


if __name__ == "__main__":
    main()
