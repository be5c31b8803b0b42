"""The diagram of QAM's update: python scripts/data_flow_figure.py writes docs/images/data_flow.svg."""

from __future__ import annotations

from diagrams import arrow, box, card, digest, save, write

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
        (126, 216, 310, 274),
        "Noisy path",
        [r"memoryless SDE of $f_\theta$", r"$X_0 \sim N(0, I)$ to $X_T$"],
        VERMILION,
    )
    box(axes, (126, 134, 310, 192), "Lean adjoint", ["from $g_T$ at the path's end", "back to $g_0$"], INK, tint=0.06)
    box(
        axes,
        (126, 46, 310, 110),
        r"Policy flow $f_\theta$: regression",
        [r"of $2(f_\theta - \bar{f}_\beta)/\sigma_i$ onto $-\sigma_i g_i$", "at each $X_i$ (adjoint matching)"],
        VERMILION,
    )
    # Values that a loss receives as constants.
    for points in (
        [(95, 406), (95, 380)],
        [(337, 406), (337, 380)],
        [(218, 406), (218, 274)],
        [(76, 304), (76, 166), (126, 166)],
        [(126, 238), (112, 238), (112, 92), (126, 92)],
        [(218, 216), (218, 192)],
        [(218, 134), (218, 110)],
        [(336, 304), (336, 246), (310, 246)],
        [(372, 304), (372, 166), (310, 166)],
        [(406, 304), (406, 80), (310, 80)],
        [(126, 66), (24, 66), (24, 304)],
    ):
        arrow(axes, points, dashed=True)
    write(axes, 223, 336, "$s$", align="left")
    for y, text in ((284, "last step"), (204, r"drift's"), (192, "Jacobian")):
        write(axes, {284: 332, 204: 320, 192: 320}[y], y, text, 9.5, align="right" if y == 284 else "left")
    write(axes, 318, 91, r"base $\bar{f}_\beta$", 9.5, align="left")
    write(axes, 32, 76, r"samples $a'$", 9.5, align="left")
    write(axes, 80, 284, r"$-\tau\nabla_{\!a}\bar{Q}$", 10, align="left")
    write(axes, 108, 206, "$X_i$", 10, align="right")
    write(axes, 223, 204, "$X_i$", 10, align="left")
    write(axes, 223, 122, "$g_i$", 10, align="left")
    arrow(axes, [(22, 26), (52, 26)], dashed=True)
    write(axes, 58, 26, "a constant for the loss that receives it: gradients stop here.", 9.5, align="left")
    write(
        axes, 22, 12, "Each of the three losses moves its own network only. A bar is a Polyak copy.", 9.5, align="left"
    )
    save(figure, "data_flow", digest(__file__))


if __name__ == "__main__":
    main()
