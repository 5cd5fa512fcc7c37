"""The photometric loss and SSIM: parity with the reference, gradients, opcheck, laws, edges."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from backends import rand
from torch import Tensor

from splat.ops.photometric import photometric_loss
from splat.ops.ssim import ssim
from splat.reference import ssim as reference

#: [C, H, W]: smaller than the window, odd, several strips of columns (over 160 px), a last strip of one pixel.
SIZES = [(1, 1, 1), (2, 11, 7), (1, 17, 33), (1, 3, 200), (2, 37, 161), (1, 23, 330)]
SOME_SLOW = [*SIZES[:4], *(pytest.param(size, marks=pytest.mark.slow_on_host) for size in SIZES[4:])]
#: Rounding of the blurred moments; C2 = 9e-4 in the denominator magnifies it.
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5


def pictures(size: tuple[int, int, int], kind: str) -> tuple[Tensor, Tensor]:
    """A rendered batch and its target: noise, or smooth pictures that nearly agree and leave [0, 1] here and there."""
    generator = torch.Generator().manual_seed(sum(size))
    rendered = rand(*size, 3, generator=generator)
    target = rand(*size, 3, generator=generator)
    if kind == "similar":
        rows = torch.linspace(0, 3, size[1])[:, None, None]
        columns = torch.linspace(0, 5, size[2])[:, None]
        smooth = 0.5 + 0.5 * torch.sin(rows + columns + torch.arange(3))
        rendered, target = smooth + 0.1 * (rendered - 0.5), (smooth + 0.02 * target).clamp(0, 1)
    return rendered, target


def random_mask(size: tuple[int, int, int]) -> Tensor:
    return rand(*size, generator=torch.Generator().manual_seed(1)) > 0.3


def gradient_of(loss_of, rendered: Tensor) -> tuple[Tensor, Tensor]:
    leaf = rendered.clone().requires_grad_()
    loss = loss_of(leaf)
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


# Parity


@pytest.mark.parametrize("size", SOME_SLOW)
@pytest.mark.parametrize("kind", ["noise", "similar"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_loss_and_gradient_agree_with_the_reference_in_float64(size, kind, masked, as_bytes):
    rendered, target = pictures(size, kind)
    if as_bytes:
        target = (target * 255).round().to(torch.uint8)
    mask = random_mask(size) if masked else None
    loss, gradient = gradient_of(lambda leaf: photometric_loss(leaf, target, mask), rendered)
    exact_target = target if as_bytes else target.double()
    exact_loss, exact_gradient = gradient_of(
        lambda leaf: reference.photometric_loss(leaf, exact_target, mask), rendered.double()
    )
    assert abs(loss - exact_loss) <= LOSS_TOLERANCE
    assert (gradient - exact_gradient).norm() <= GRADIENT_TOLERANCE * exact_gradient.norm()


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_weights(weight):
    rendered, target = pictures((1, 20, 30), "noise")
    loss, gradient = gradient_of(lambda leaf: photometric_loss(leaf, target, ssim_weight=weight), rendered)
    exact, exact_gradient = gradient_of(
        lambda leaf: reference.photometric_loss(leaf, target.double(), ssim_weight=weight), rendered.double()
    )
    assert abs(loss - exact) <= LOSS_TOLERANCE
    assert (gradient - exact_gradient).norm() <= GRADIENT_TOLERANCE * exact_gradient.norm()


@pytest.mark.parametrize("size", SOME_SLOW)
def test_ssim_agrees_with_the_reference(size):
    a, b = pictures(size, "similar")
    torch.testing.assert_close(ssim(a, b).double(), reference.ssim(a.double(), b.double()), rtol=0, atol=LOSS_TOLERANCE)


@pytest.mark.backends("cpu")
def test_the_reference_is_the_textbook_formula():
    """One pixel in the middle of an 11 x 11 image sees exactly the window: written out without convolutions."""
    a, b = (image[0, ..., 0].double() for image in pictures((1, 11, 11), "noise"))
    weights = torch.tensor([0.00102838, 0.00759876, 0.03600077, 0.10936069, 0.21300553, 0.26601172], dtype=a.dtype)
    weights = torch.cat([weights, weights[:-1].flip(0)])
    window = weights[:, None] * weights

    def mean(x: Tensor) -> Tensor:
        return (window * x).sum()

    covariance = mean(a * b) - mean(a) * mean(b)
    variances = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
    expected = (2 * mean(a) * mean(b) + 1e-4) * (2 * covariance + 9e-4)
    expected = expected / (mean(a) ** 2 + mean(b) ** 2 + 1e-4) / (variances + 9e-4)
    both = [image[None, ..., None].expand(1, 11, 11, 3) for image in (a, b)]
    torch.testing.assert_close(reference.ssim_map(*both)[0, 5, 5, 0], expected, rtol=0, atol=1e-6)


# Gradients


@pytest.mark.backends("cpu")
def test_reference_gradient_by_finite_differences():
    rendered, target = (image.double() for image in pictures((1, 6, 5), "noise"))
    mask = random_mask((1, 6, 5))
    rendered.requires_grad_()

    def loss_of(leaf: Tensor) -> Tensor:
        return reference.photometric_loss(leaf, target, mask)

    assert torch.autograd.gradcheck(loss_of, (rendered,), fast_mode=True)


def test_gradient_scales_with_the_upstream_one_and_accumulates():
    rendered, target = pictures((1, 12, 9), "noise")
    _, once = gradient_of(lambda leaf: photometric_loss(leaf, target), rendered)
    _, thrice = gradient_of(lambda leaf: 3 * photometric_loss(leaf, target), rendered)
    torch.testing.assert_close(thrice, 3 * once)
    leaf = rendered.clone().requires_grad_()
    loss = photometric_loss(leaf, target)
    loss.backward(retain_graph=True)
    loss.backward()
    torch.testing.assert_close(leaf.grad, 2 * once)


def test_no_gradient_is_made_where_none_is_wanted():
    rendered, target = pictures((1, 12, 9), "noise")
    assert not photometric_loss(rendered, target).requires_grad
    leaf = rendered.clone().requires_grad_()
    with torch.no_grad():
        inside = photometric_loss(leaf, target)
    assert not inside.requires_grad
    assert torch.equal(inside, photometric_loss(leaf, target).detach())


# opcheck


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("needs_gradient", [False, True])
@pytest.mark.slow
def test_opcheck(masked, as_bytes, needs_gradient):
    size = (2, 13, 9)
    rendered, target = pictures(size, "noise")
    if as_bytes:
        target = (target * 255).to(torch.uint8)
    mask = random_mask(size).to(torch.uint8) if masked else None
    rendered.requires_grad_(needs_gradient)
    torch.library.opcheck(torch.ops.splat.photometric_loss.default, (rendered, target, mask, 0.2, needs_gradient))


@pytest.mark.slow
def test_opcheck_ssim():
    torch.library.opcheck(torch.ops.splat.ssim.default, pictures((2, 13, 9), "noise"))


# Laws


def test_equal_images_are_perfectly_similar():
    for size in SIZES:
        image, _ = pictures(size, "noise")
        torch.testing.assert_close(ssim(image, image), torch.ones(size[0]), rtol=0, atol=1e-6)
        assert photometric_loss(image, image).abs() <= 1e-6
        _, gradient = gradient_of(lambda leaf, image=image: photometric_loss(leaf, image), image)
        assert gradient.abs().max() <= 1e-6 / image.numel()


def test_ssim_is_symmetric_and_at_most_one():
    a, b = pictures((2, 30, 40), "noise")
    torch.testing.assert_close(ssim(a, b), ssim(b, a), rtol=0, atol=LOSS_TOLERANCE)
    assert (ssim(a, b) < 1).all()


def test_masked_pixels_do_not_matter():
    size = (1, 24, 30)
    rendered, target = pictures(size, "similar")
    mask = random_mask(size)
    changed = torch.where(mask[..., None], rendered, 7.0)
    before, gradient = gradient_of(lambda leaf: photometric_loss(leaf, target, mask), rendered)
    after, _ = gradient_of(lambda leaf: photometric_loss(leaf, target, mask), changed)
    assert torch.equal(before, after)
    assert (gradient[~mask] == 0).all()


def test_a_full_mask_changes_nothing_and_an_empty_one_leaves_nothing():
    size = (1, 24, 30)
    rendered, target = pictures(size, "similar")
    plain, plain_gradient = gradient_of(lambda leaf: photometric_loss(leaf, target), rendered)
    full, full_gradient = gradient_of(lambda leaf: photometric_loss(leaf, target, torch.ones(size).bool()), rendered)
    assert torch.equal(plain, full) and torch.equal(plain_gradient, full_gradient)
    empty, gradient = gradient_of(lambda leaf: photometric_loss(leaf, target, torch.zeros(size).bool()), rendered)
    assert empty.abs() <= 1e-6 and (gradient == 0).all()


def test_views_of_a_batch_are_independent():
    a, b = pictures((3, 19, 170), "similar")
    singly = torch.cat([ssim(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    assert torch.equal(ssim(a, b), singly)


@pytest.mark.backends("cpu")
@pytest.mark.parametrize("size", [(1, 150, 200), (3, 37, 161)])
def test_the_same_bits_for_any_number_of_threads(size):
    rendered, target = pictures(size, "similar")
    mask = random_mask(size)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            loss, gradient = gradient_of(lambda leaf: photometric_loss(leaf, target, mask), rendered)
            results.append((loss, gradient, ssim(rendered, target)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


ISA_SCRIPT = """
import torch
from splat.ops.photometric import photometric_loss
generator = torch.Generator().manual_seed(0)
rendered = torch.rand(1, 33, 170, 3, generator=generator).requires_grad_()
target = torch.rand(1, 33, 170, 3, generator=generator)
loss = photometric_loss(rendered, target)
loss.backward()
torch.save((loss.detach(), rendered.grad), {path!r})
"""


@pytest.mark.slow
@pytest.mark.backends("cpu")
def test_instruction_sets_agree(tmp_path):
    results = {}
    for isa in ("baseline", "avx2", "avx512"):
        path = str(tmp_path / f"{isa}.pt")
        environment = {**os.environ, "SPLAT_CPU_ISA": isa}
        run = subprocess.run(
            [sys.executable, "-c", ISA_SCRIPT.format(path=path)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            assert f"cannot run {isa}" in run.stderr, run.stderr
            continue
        results[isa] = torch.load(path)
    loss, gradient = results["baseline"]
    for other_loss, other_gradient in results.values():
        assert abs(other_loss - loss) <= LOSS_TOLERANCE
        # One rounding or two in a * b + c is all that differs.
        assert (other_gradient - gradient).norm() <= GRADIENT_TOLERANCE * gradient.norm()


# Edges


def test_not_contiguous():
    rendered, target = pictures((1, 20, 30), "noise")
    turned = [image.transpose(1, 2) for image in (rendered, target)]
    loss, gradient = gradient_of(lambda leaf: photometric_loss(leaf.transpose(1, 2), turned[1]), rendered)
    expected, expected_gradient = gradient_of(
        lambda leaf: photometric_loss(leaf, turned[1].contiguous()), turned[0].contiguous()
    )
    assert torch.equal(loss, expected)
    assert torch.equal(gradient, expected_gradient.transpose(1, 2))


def test_nan_is_not_hidden():
    rendered, target = pictures((1, 20, 30), "noise")
    rendered[0, 3, 4, 1] = float("nan")
    if os.environ.get("SPLAT_VALIDATE") == "1":
        with pytest.raises(FloatingPointError, match="photometric_loss"):
            photometric_loss(rendered, target)
    else:
        assert photometric_loss(rendered, target).isnan()


def test_mistakes_are_named():
    rendered, target = pictures((1, 20, 30), "noise")
    with pytest.raises(ValueError, match=r"target must be \[C, H, W, 3\]"):
        photometric_loss(rendered, target[:, :10])
    with pytest.raises(TypeError, match="rendered must be torch.float32"):
        photometric_loss(rendered.double(), target)
    with pytest.raises(TypeError, match="target must be torch.float32"):
        photometric_loss(rendered, target.double())
    with pytest.raises(ValueError, match=r"mask must be \[C, H, W\]"):
        photometric_loss(rendered, target, torch.ones(1, 30, 20, dtype=torch.bool))
    with pytest.raises(TypeError, match="mask must be torch.uint8 or torch.bool"):
        photometric_loss(rendered, target, torch.ones(1, 20, 30))
    with pytest.raises(ValueError, match="W must be > 0"):
        photometric_loss(rendered[:, :, :0], target[:, :, :0])
    with pytest.raises(ValueError, match="ssim_weight"):
        photometric_loss(rendered, target, ssim_weight=1.5)
    with pytest.raises(ValueError, match=r"b must be \[C, H, W, 3\]"):
        ssim(rendered, target[..., :2])
