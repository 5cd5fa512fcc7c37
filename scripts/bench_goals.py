"""What the CPU renderer is measured against: times of other programs, and goals, on the machine they were stated for.

That machine: 2 cores of an AMD EPYC (Zen 3, AVX2 + FMA), gcc 12. `scaled` brings a time from there to the machine at
hand by the two machines' ceilings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench_ceilings import Ceilings

#: Ceilings of the machine that all times below were stated for, by number of threads.
STATED = {
    1: Ceilings(fma_gflops=101, triad_gbs=18.6, exp_gs=5.1, pairs_gs=1.19),
    2: Ceilings(fma_gflops=198, triad_gbs=26.7, exp_gs=7.9, pairs_gs=2.31),
}
#: Which ceilings bound a stage; several: the geometric mean of their ratios.
BOUND_BY = {
    "project": ("fma_gflops",),
    "project backward": ("fma_gflops",),
    "tiles": ("triad_gbs",),
    "blend": ("pairs_gs",),
    "blend backward": ("pairs_gs",),
    "loss": ("fma_gflops",),
    "adam": ("triad_gbs",),
}
EVERYTHING = ("fma_gflops", "triad_gbs", "pairs_gs")

#: Bytes that Adam moves per Gaussian of SH degree 3: four reads and three writes of 59 floats.
ADAM_BYTES = 7 * 4 * 59


@dataclass(frozen=True)
class Stated:
    """A scene's numbers; times in ms on 2 threads.

    Attributes:
        pairs: pixel-Gaussian pairs that a rasterizer of 8 lanes evaluates.
        opensplat: a step of OpenSplat 1.1.5 on the CPU, as shipped.
        gsplat: gsplat's plain-torch functions, forward and backward, handed the list of pairs.
        first, goal: a training step of ours.
        render_first, render_goal: rendering alone.
    """

    pairs: float | None = None
    opensplat: float | None = None
    gsplat: float | None = None
    first: float | None = None
    goal: float | None = None
    render_first: float | None = None
    render_goal: float | None = None


SCENES = {
    "garden-20k 320x240": Stated(2.72e6, 462, 382, 18, 8),
    "garden-20k 640x480": Stated(8.48e6, 1418, 1942, 40, 20),
    "garden-100k 320x240": Stated(5.26e6, 811, 845, 40, 20),
    "garden-100k 640x480": Stated(13.9e6, 2320, 4344, 85, 40, 1000 / 25, 1000 / 60),
    "fox 360x640": Stated(None, 1220, None, 30, 14),
    "garden-200k 640x480": Stated(render_first=25, render_goal=25),
    "garden-1m 1280x720": Stated(render_first=1000 / 3, render_goal=1000 / 12),
}
#: SSIM and L1, forward and backward, at 640x480: first, goal and torch's conv2d, by threads.
LOSS = {1: (13.0, 7.0, 631.0), 2: (9.0, 4.0, 433.0)}
LOSS_PIXELS = 640 * 480
#: Projection with colours, ns per Gaussian and thread; the same for its backward.
PROJECT_NS = (80.0, 25.0)
#: Sorting garden-100k at 640x480 into tiles, one thread.
TILES = (12.0, 5.0)


def scaled(milliseconds: float | None, stage: str, ours: Ceilings, threads: int) -> float | None:
    """A stated time, on this machine: times the geometric mean of stated over own ceilings that bound the stage."""
    if milliseconds is None:
        return None
    if threads not in STATED:
        return None
    stated, names = STATED[threads], BOUND_BY.get(stage, EVERYTHING)
    ratios = [getattr(stated, name) / getattr(ours, name) for name in names]
    return milliseconds * math.prod(ratios) ** (1 / len(ratios))


@dataclass(frozen=True)
class Goals:
    """Milliseconds on this machine; None where nothing was stated."""

    first: float | None = None
    goal: float | None = None
    peer: float | None = None


def goals(
    scene: str, stage: str, ours: Ceilings, threads: int, sizes: tuple[int, int], times: dict[str, float]
) -> Goals:
    """What a stage of a scene is measured against.

    Args:
        sizes: number of Gaussians and of pixels.
        times: this run's times of the scene's stages, ms; some goals are shares of them.
    """
    stated = SCENES.get(scene, Stated())
    count, pixels = sizes

    def here(*stated_times: float | None) -> Goals:
        return Goals(*(scaled(time, stage, ours, threads) for time in stated_times))

    if stage in ("project", "project backward"):
        return here(*(ns * count / threads * 1e-6 for ns in PROJECT_NS))
    if stage == "tiles" and scene == "garden-100k 640x480" and threads == 1:
        return here(*TILES)
    if stage == "blend" and stated.pairs:
        floor = stated.pairs / ours.pairs_gs * 1e-6
        return Goals(floor / 0.5, floor / 0.75)
    if stage == "blend backward":
        return Goals(2.2 * times["blend"], 1.7 * times["blend"])
    if stage == "loss" and threads in LOSS:
        return here(*(time * pixels / LOSS_PIXELS for time in LOSS[threads]))
    if stage == "adam":
        floor = ADAM_BYTES * count / ours.triad_gbs * 1e-6
        return Goals(1.3 * floor, 1.1 * floor)
    if stage == "python":
        return Goals(0.15 * times["step"], 0.05 * times["step"])
    if stage == "forward+backward" and threads == 2 and stated.gsplat:
        peer = scaled(stated.gsplat, stage, ours, threads)
        return Goals(peer / 25, peer / 60, peer) if peer else Goals()
    if stage == "step" and threads == 2:
        return here(stated.first, stated.goal, stated.opensplat)
    if stage == "render" and threads == 2:
        return here(stated.render_first, stated.render_goal)
    return Goals()
