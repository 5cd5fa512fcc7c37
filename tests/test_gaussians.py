"""The scene's own operations: selection, concatenation, similarity transforms."""

from __future__ import annotations

import math

import pytest
import torch

from splat.gaussians import Gaussians
from splat.reference.sh import sh_basis


def random_gaussians(count: int = 20, degree: int = 3, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        normal(count, 3), normal(count, 4), normal(count, 3) - 3, normal(count), normal(count, (degree + 1) ** 2, 3)
    )


def similarity(scale: float = 1.7) -> torch.Tensor:
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    rotation *= torch.linalg.det(rotation).sign()
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = torch.tensor([0.3, -2.0, 5.0])
    return matrix


def covariances(scene: Gaussians) -> torch.Tensor:
    w, x, y, z = torch.nn.functional.normalize(scene.quats.double(), dim=-1).unbind(-1)
    rotation = torch.stack(
        [
            torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )
    axes = rotation * scene.scales.double()[:, None]
    return axes @ axes.transpose(1, 2)


def test_transform_moves_covariances_by_the_similarity():
    scene, matrix = random_gaussians(), similarity()
    moved = scene.transform(matrix)
    linear = matrix[:3, :3]
    torch.testing.assert_close(covariances(moved), linear @ covariances(scene) @ linear.T, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        moved.means.double(), scene.means.double() @ linear.T + matrix[:3, 3], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_transform_rotates_colours_with_the_scene(degree):
    scene, matrix = random_gaussians(degree=degree), similarity()
    moved = scene.transform(matrix)
    direction = torch.nn.functional.normalize(torch.tensor([[0.2, -0.7, 0.4]], dtype=torch.float64), dim=-1)
    turned = direction @ (matrix[:3, :3] / 1.7).T
    before = torch.einsum("dk,nkc->nc", sh_basis(direction, degree), scene.sh.double())
    after = torch.einsum("dk,nkc->nc", sh_basis(turned, degree), moved.sh.double())
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)


def test_transform_and_its_inverse_give_the_scene_back():
    scene, matrix = random_gaussians(), similarity()
    back = scene.transform(matrix).transform(torch.linalg.inv(matrix))
    torch.testing.assert_close(back.means, scene.means, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(back.sh, scene.sh, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(covariances(back), covariances(scene), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("angle", [math.pi, math.pi - 1e-3, 0.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_transform_turns_by_every_half_turn(axis, angle):
    scene = random_gaussians()
    matrix = torch.eye(4, dtype=torch.float64)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[j, i], matrix[i, j] = math.sin(angle), -math.sin(angle)
    moved = scene.transform(matrix)
    linear = matrix[:3, :3]
    torch.testing.assert_close(covariances(moved), linear @ covariances(scene) @ linear.T, rtol=1e-4, atol=1e-7)


def test_transform_refuses_what_is_no_similarity():
    sheared = torch.eye(4)
    sheared[0, 1] = 0.5
    mirrored = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    for matrix in (sheared, mirrored):
        with pytest.raises(ValueError, match="similarity"):
            random_gaussians().transform(matrix)


def test_select_and_concat_are_inverse():
    scene = random_gaussians()
    mask = torch.arange(len(scene)) % 3 == 0
    joined = Gaussians.concat([scene.select(mask), scene.select(~mask)])
    order = torch.cat([mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]])
    for name, tensor in joined.parameters().items():
        assert torch.equal(tensor, scene.parameters()[name][order])


def test_sh_degree_is_padded_with_zeros_and_truncated():
    scene = random_gaussians(degree=1)
    assert scene.with_sh_degree(3).sh[:, 4:].abs().max() == 0
    assert torch.equal(scene.with_sh_degree(3).with_sh_degree(1).sh, scene.sh)


def test_wrong_shapes_are_named():
    scene = random_gaussians(5)
    with pytest.raises(ValueError, match=r"quats must be \[N, 4\] with N = 5, got \[4, 4\]"):
        Gaussians(scene.means, scene.quats[:4], scene.log_scales, scene.opacity_logits, scene.sh)
    with pytest.raises(ValueError, match="coefficients"):
        Gaussians(scene.means, scene.quats, scene.log_scales, scene.opacity_logits, scene.sh[:, :7])
    with pytest.raises(TypeError, match="opacity_logits must be torch.float32"):
        Gaussians(scene.means, scene.quats, scene.log_scales, scene.opacity_logits.double(), scene.sh)
