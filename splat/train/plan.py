"""From a budget to a run's settings: cap, spherical-harmonic degree, image size and number of steps.

What a flag says stays; the other settings follow from the budget, the tightest part of which wins.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from splat.budget import DEVICES, fit_size
from splat.errors import SplatError
from splat.native import pick_device
from splat.train.config import GAUSSIANS_PER_STEP, TrainConfig
from splat.train.cost import measure
from splat.train.forecast import Forecast, Images
from splat.train.memory import USABLE, bytes_per_gaussian, bytes_per_image

if TYPE_CHECKING:
    from splat.datasets.scene import Scene

#: Fewer show nothing.
LEAST_GAUSSIANS, LEAST_STEPS = 1_000, 50
#: Steps for whose sake photos are made smaller, by which factors, and pixels that their shorter side keeps.
ENOUGH_STEPS, DOWNSCALES, LEAST_SIDE = 1_000, (1, 2, 3, 4, 6, 8, 12, 16), 200
#: Colours keep a degree if that leaves room for so many Gaussians a point of the capture: docs/benchmarks/budgets.md.
ROOM = 4
#: Share of the time that is planned with: refinements are not measured.
PLANNED = 0.9


@dataclass(frozen=True)
class Plan:
    """Settings that keep a budget.

    Attributes:
        config: the settings; its budget is still what was asked.
        sentences: what was chosen, and for which part of the budget.
        seconds: that planning took, most of it for measuring.
    """

    config: TrainConfig
    sentences: list[str]
    seconds: float


@dataclass(frozen=True)
class Cap:
    """How many Gaussians there may be at most, of which degree, and the flag that says so."""

    gaussians: int
    sh_degree: int
    flag: str


def plan_run(scene: Scene, config: TrainConfig) -> Plan:
    """What to train, and how, so that `config.budget` is kept. Where time is limited, a few steps are measured.

    Settings that differ from their defaults count as the user's own and stay.

    Args:
        scene: opened with the settings of `config`.

    Raises:
        SplatError: the budget is too small for anything, or contradicts what is set.
    """
    started = time.perf_counter()
    budget, images, sentences = config.budget, Images.of(scene), []
    points = len(scene.points) if len(scene.points) >= config.init.few_points else config.init.random_points
    factors, caps = _factors(config, images), []
    if budget.vram is not None and pick_device(config.device).type == "cuda":
        factors = _that_fit(factors, budget.vram, images, budget.target_vram)
        caps = [_memory_cap(config, budget.vram, images.shrunk(factors[0]))]
        if factors[0] > 1:
            sentences.append(f"Photos at 1/{factors[0]} of their size, for {caps[0].flag}.")
    elif budget.vram is not None:
        sentences.append("--target-vram has no effect on this run: it is on the CPU.")
    cap, planned = tightest(config, points, caps), config
    if cap is not None:
        most = _own_cap(config) or cap.gaussians
        # A file is to be filled; what a device or a memory could bear is not a reason to have more than without it.
        is_wanted = budget.size is not None or most < max(points, GAUSSIANS_PER_STEP * config.iterations)
        planned = replace(config, sh_degree=cap.sh_degree)
        planned = replace(planned, max_gaussians=most) if is_wanted else planned
        sentences.append(f"At most {most:,} Gaussians of SH degree {cap.sh_degree}, for {cap.flag}.")
    planned = replace(planned, downscale=config.downscale * factors[0])
    if budget.seconds is not None:
        cost = measure(scene, planned)
        left = PLANNED * (budget.seconds - (time.perf_counter() - started))
        per_step = GAUSSIANS_PER_STEP if _own_cap(config) is None else None
        forecasts = [
            Forecast(cost, images.shrunk(f), replace(planned, downscale=config.downscale * f), points, per_step)
            for f in factors
        ]
        planned, seconds = _within_time(config, forecasts, left)
        if budget.size is not None:
            # Fewer Gaussians than the file has room for may have more colours.
            planned = replace(planned, sh_degree=fit_size(budget.size, _degrees(config), planned.max_gaussians)[1])
        size = f" at 1/{planned.downscale} of their size" if planned.downscale > 1 else ""
        most = f"at most {planned.max_gaussians:,} Gaussians of SH degree {planned.sh_degree}"
        sentences.append(
            f"{planned.iterations:,} steps on photos{size} with {most}, some {seconds:.0f} s here, "
            f"for --target-time {budget.target_time}."
        )
    return Plan(planned, sentences, time.perf_counter() - started)


def tightest(config: TrainConfig, points: int, others: Iterable[Cap] = ()) -> Cap | None:
    """The cap that keeps all of a budget which bounds the number of Gaussians; None where nothing does.

    Args:
        points: Gaussians at the start.
        others: caps beside those of size and device.

    Raises:
        SplatError: it is too small for anything, or smaller than the user's own cap.
    """
    budget, caps, own = config.budget, list(others), _own_cap(config)
    if budget.size is not None:
        wanted = max(ROOM * points, LEAST_GAUSSIANS) if own is None else own
        count, degree = fit_size(budget.size, _degrees(config), wanted)
        caps.append(Cap(count, degree, f"--target-size {budget.target_size}"))
    if budget.target_device is not None:
        caps.append(Cap(DEVICES[budget.target_device], config.sh_degree, f"--target-device {budget.target_device}"))
    if not caps:
        return None
    least = min(caps, key=lambda cap: cap.gaussians)
    if least.gaussians < LEAST_GAUSSIANS:
        raise SplatError(
            f"{least.flag} has room for {least.gaussians:,} Gaussians, and fewer than {LEAST_GAUSSIANS:,} show "
            "nothing: ask for more"
        )
    if own is not None and own > least.gaussians:
        raise SplatError(
            f"--max-gaussians {own} contradicts {least.flag}, which has room for {least.gaussians:,}: "
            "leave one of them out"
        )
    return replace(least, sh_degree=min(cap.sh_degree for cap in caps))


def _own_cap(config: TrainConfig) -> int | None:
    """The user's own cap, if there is one."""
    return None if config.max_gaussians == TrainConfig.max_gaussians else config.max_gaussians


def _degrees(config: TrainConfig) -> Sequence[int]:
    """SH degrees that colours may have, the best first: the user's own, if there is one."""
    is_own = config.sh_degree != TrainConfig.sh_degree
    return [config.sh_degree] if is_own else range(config.sh_degree, -1, -1)


def _factors(config: TrainConfig, images: Images) -> list[int]:
    """By what the photos' sides may be divided, beside what the user divides them by."""
    if config.downscale != TrainConfig.downscale:
        return [1]
    return [factor for factor in DOWNSCALES if factor == 1 or images.side // factor >= LEAST_SIDE]


def _that_fit(factors: list[int], vram: int, images: Images, asked: str | None) -> list[int]:
    """The factors with which images leave half of the memory to Gaussians."""
    fitting = [factor for factor in factors if bytes_per_image(int(images.shrunk(factor).largest)) <= USABLE * vram / 2]
    if not fitting:
        raise SplatError(
            f"--target-vram {asked} is too little for photos of this size: ask for more, or --downscale them"
        )
    return fitting


def _memory_cap(config: TrainConfig, vram: int, images: Images) -> Cap:
    room = int(USABLE * vram) - bytes_per_image(int(images.largest))
    count = room // bytes_per_gaussian(config.sh_degree, config.sh_bits)
    return Cap(count, config.sh_degree, f"--target-vram {config.budget.target_vram}")


def _within_time(config: TrainConfig, forecasts: list[Forecast], seconds: float) -> tuple[TrainConfig, float]:
    """Settings of a run that takes so long: of the first forecast whose run has enough steps, else of the last.

    Returns:
        The settings, and how long their run takes.
    """
    own = config.iterations if config.iterations != TrainConfig.iterations else None
    enough = ENOUGH_STEPS if own is None else own
    forecast = next((forecast for forecast in forecasts if forecast.seconds(enough) <= seconds), forecasts[-1])
    steps = forecast.steps(seconds)
    asked = f"--target-time {config.budget.target_time}"
    if steps < LEAST_STEPS:
        raise SplatError(
            f"{asked} is too short: {LEAST_STEPS} steps, the least that show anything, take some "
            f"{forecast.seconds(LEAST_STEPS):.1f} s here; ask for more, or for smaller photos (--downscale)"
        )
    if own is not None and forecast.seconds(own) > seconds:
        raise SplatError(
            f"--iterations {own} contradicts {asked}, in which this machine takes some {steps:,}: leave one of them out"
        )
    steps = steps if own is None else own
    return replace(forecast.config, iterations=steps, max_gaussians=forecast.cap(steps)), forecast.seconds(steps)
