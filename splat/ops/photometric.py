"""The training loss: L1 and SSIM in one pass over the images, which also makes the gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from splat import checks, native

native.load()


def photometric_loss(rendered: Tensor, target: Tensor, mask: Tensor | None = None, ssim_weight: float = 0.2) -> Tensor:
    """(1 - w) mean |rendered - target| + w (1 - mean SSIM), over a batch of C image pairs of H x W pixels.

    Differentiable (once) in rendered. The same bits for any number of threads.

    Args:
        rendered: [C, H, W, 3] float32, colours around [0, 1], not clamped.
        target: [C, H, W, 3] float32 in [0, 1], or uint8 in [0, 255].
        mask: [C, H, W] uint8 or bool. Where it is zero both images count as black for SSIM, and the pixel is left out
            of the L1 mean (which is zero if none is left); no gradient flows there.
        ssim_weight: w, in [0, 1].

    Returns:
        [] float32.

    Raises:
        ValueError, TypeError: a shape, dtype or device disagrees; no pixels; w outside [0, 1].

    Source:
        Kerbl et al., "3D Gaussian Splatting", 2023, eq. 7, with its code's 11 x 11 window and zero padding.
    """
    sizes: dict[str, int] = {}
    checks.shape("rendered", rendered, ("C", "H", "W", 3), sizes)
    checks.shape("target", target, ("C", "H", "W", 3), sizes)
    checks.float32(rendered=rendered)
    native.check_device("rendered", rendered)
    checks.same_device("rendered", rendered, target=target)
    if target.dtype != torch.uint8:
        checks.same_kind("rendered", rendered, target=target)
    checks.positive(**sizes)
    if not 0 <= ssim_weight <= 1:
        raise ValueError(f"ssim_weight must be in [0, 1], got {ssim_weight}")
    if mask is not None:
        checks.shape("mask", mask, ("C", "H", "W"), sizes)
        checks.same_device("rendered", rendered, mask=mask)
        if mask.dtype not in (torch.uint8, torch.bool):
            raise TypeError(f"mask must be torch.uint8 or torch.bool, got {mask.dtype}")
        mask = mask.view(torch.uint8)
    needs_gradient = torch.is_grad_enabled() and rendered.requires_grad
    loss, gradient = torch.ops.splat.photometric_loss.default(rendered, target, mask, ssim_weight, needs_gradient)
    native.validate("photometric_loss", loss=loss, gradient=gradient)
    return loss


def _fake(
    rendered: Tensor, target: Tensor, mask: Tensor | None, ssim_weight: float, needs_gradient: bool
) -> tuple[Tensor, Tensor]:
    return rendered.new_empty(()), rendered.new_empty(rendered.shape if needs_gradient else (0,))


def _setup_context(ctx, inputs, output) -> None:
    _, gradient = output
    ctx.mark_non_differentiable(gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gradient)


def _backward(ctx, v_loss: Tensor | None, v_gradient: None):
    (gradient,) = ctx.saved_tensors
    v_rendered = None if v_loss is None or not ctx.needs_input_grad[0] else gradient * v_loss
    return (
        v_rendered,
        None,  # target
        None,  # mask
        None,  # ssim_weight
        None,  # needs_gradient
    )


torch.library.register_fake("splat::photometric_loss", _fake)
torch.library.register_autograd("splat::photometric_loss", _backward, setup_context=_setup_context)
