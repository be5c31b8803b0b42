"""Environments: making them, and stepping many of them with action chunks.

`ogbench` makes OGBench's single-task environments, `gymnasium_registry` any registered Gymnasium environment; both take
actions in [-1, 1]. `pool` steps n environments by a whole chunk per call: it spreads them over hosts (`host`), in this
process or in worker processes (`host_process`). `maze` reads the layout of a maze for plots, and `renderer` finds an
OpenGL backend that works. Worker processes import these modules, so none of them imports torch.
"""
