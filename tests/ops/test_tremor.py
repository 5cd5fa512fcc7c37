"""Noise on the centres: parity with the reference on the same numbers, its distribution, opcheck, laws, edges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from backends import rand, randn
from torch import Tensor

from splat.ops.tremor import tremor
from splat.reference.tremor import normals
from splat.reference.tremor import tremor as reference_tremor

SETTINGS = {"strength": 80.0, "least_opacity": 0.005, "steepness": 100.0}
#: Of the offset of a round Gaussian as large as the longest axis: numbers are made normal and turned in float32.
TOLERANCE = 3e-6
#: Opacities of no more than this tremble: 0.005 + 32 / 100.
STILL = 0.325


def some_gaussians(count: int = 1000) -> tuple[Tensor, Tensor, Tensor]:
    """Long and flat ones, many of them so faint that they move."""
    generator = torch.Generator().manual_seed(0)
    quats, log_scales = randn(count, 4, generator=generator), 1.5 * randn(count, 3, generator=generator) - 4
    return quats, log_scales, 4 * rand(count, generator=generator) - 6


def all_alike(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """At half of the full strength; a quarter turn about z takes x to y."""
    quats = torch.tensor([2.0, 0.0, 0.0, 2.0]).repeat(count, 1)
    log_scales = torch.tensor([0.5, 0.1, 0.2]).log().repeat(count, 1)
    return quats, log_scales, torch.tensor(0.005).logit().repeat(count)


def reference(gaussians: tuple[Tensor, Tensor, Tensor], seed: int) -> tuple[Tensor, Tensor]:
    """[N, 3] offsets in float64, and [N] what each may be off by."""
    quats, log_scales, logits = (x.double().cpu() for x in gaussians)
    with torch.device("cpu"):
        normal = normals(seed, len(quats))
        expected, of_round = (
            reference_tremor(quats, axes, logits, normal, **SETTINGS)
            for axes in (log_scales, log_scales.amax(dim=1, keepdim=True).expand(-1, 3))
        )
    return expected, TOLERANCE * of_round.norm(dim=1)


def offsets(gaussians: tuple[Tensor, Tensor, Tensor], seed: int = 7, **settings: Any) -> Tensor:
    return tremor(*gaussians, **{**SETTINGS, **settings}, seed=seed)


# Parity


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("count", [1, 1000])
def test_offsets_are_the_references_in_float64(seed: int, count: int) -> None:
    gaussians = some_gaussians(count)
    expected, tolerance = reference(gaussians, seed)
    assert ((offsets(gaussians, seed).cpu() - expected).norm(dim=1) <= tolerance).all()


# The distribution


def test_they_are_normal_with_the_covariance_squared() -> None:
    count = 40_000
    found = torch.cat([offsets(all_alike(count), seed) for seed in range(5)]).double().cpu()
    deviations = 0.5 * SETTINGS["strength"] * torch.tensor([0.01, 0.25, 0.04], dtype=torch.float64, device="cpu")
    standard = found / deviations
    error = (5 * count) ** -0.5  # of a mean of numbers of variance 1
    assert (standard.mean(dim=0).abs() < 4 * error).all()
    products = standard.T @ standard / len(standard)
    assert ((products - torch.eye(3, device="cpu")).abs() < 4 * 2**0.5 * error).all()
    # The fourth moment of a normal number is 3, of variance 96; its fifth and more deviations are rare, but there.
    assert ((standard**4).mean(dim=0) - 3).abs().max() < 4 * 96**0.5 * error
    assert 4 < standard.abs().max() < 5.9


def test_neighbours_and_steps_know_nothing_of_each_other() -> None:
    count = 40_000
    first, second = (offsets(all_alike(count), seed).double().cpu() for seed in (1, 2))
    pairs = {
        "steps": (first, second),
        "neighbours": (first[:-1], first[1:]),
        "axes": (first[:-1], first[1:].roll(1, 1)),
    }
    for name, (a, b) in pairs.items():
        for power in (1, 2):
            x, y = a.abs() ** power * a.sign() ** power, b.abs() ** power * b.sign() ** power
            x, y = (x - x.mean(dim=0)) / x.std(dim=0), (y - y.mean(dim=0)) / y.std(dim=0)
            assert (x * y).mean(dim=0).abs().max() < 4.5 * count**-0.5, name


# opcheck


@pytest.mark.slow
def test_opcheck() -> None:
    torch.library.opcheck(torch.ops.splat.tremor.default, (*some_gaussians(20), *SETTINGS.values(), 3))


# Laws


def test_the_same_bits_for_any_number_of_threads() -> None:
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            found.append(offsets(some_gaussians(10_000)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_a_gaussian_does_not_depend_on_who_else_moves() -> None:
    quats, log_scales, logits = some_gaussians()
    others_still = torch.where(torch.arange(1000) % 3 == 0, logits, 5.0)
    found, alone = offsets((quats, log_scales, logits)), offsets((quats, log_scales, others_still))
    assert torch.equal(found[::3], alone[::3]) and alone.count_nonzero() == 3 * 334


def test_the_opaque_stay_and_the_rest_tremble_the_less_the_more_opaque() -> None:
    quats, log_scales, _ = all_alike(5)
    opacities = torch.tensor([0.001, 0.1, 0.32, 0.33, 1.0])
    lengths = offsets((quats, log_scales, opacities.logit(eps=1e-6))).norm(dim=1)
    assert (lengths[:3] > 0).all() and (lengths[3:] == 0).all() and lengths[2] < 1e-10 * lengths[0]
    assert STILL == SETTINGS["least_opacity"] + 32 / SETTINGS["steepness"]


def test_length_and_sign_of_a_quaternion_do_not_count() -> None:
    quats, log_scales, logits = some_gaussians()
    expected, tolerance = reference((quats, log_scales, logits), 7)
    for factor in (-1.0, 1e-3, 1e3):
        found = offsets((factor * quats, log_scales, logits))
        assert ((found.cpu() - expected).norm(dim=1) <= tolerance).all()


# Edges


def test_what_is_broken_moves_nobody_else() -> None:
    quats, log_scales, logits = some_gaussians(64)
    expected = offsets((quats, log_scales, logits))
    quats[3] = 0.0
    logits[10], logits[11] = float("nan"), -float("inf")
    found = offsets((quats, log_scales, logits))
    rest = torch.ones(64, dtype=torch.bool)
    rest[[3, 10, 11]] = False
    assert torch.equal(found[rest], expected[rest]) and found.isfinite().all() and (found[10] == 0).all()


def test_none_and_mistakes() -> None:
    assert offsets(some_gaussians(0)).shape == (0, 3)
    quats, log_scales, logits = some_gaussians(4)
    with pytest.raises(ValueError, match=r"log_scales must be \[N, 3\] with N = 4, got \[3, 3\]"):
        offsets((quats, log_scales[:3], logits))
    with pytest.raises(TypeError, match="quats must be torch.float32"):
        offsets((quats.double(), log_scales, logits))
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\^32\), got -1"):
        offsets((quats, log_scales, logits), seed=-1)
    with pytest.raises(ValueError, match="steepness must be > 0"):
        offsets((quats, log_scales, logits), steepness=0.0)
