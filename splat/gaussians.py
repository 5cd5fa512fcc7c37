"""Gaussians: the tensors of one scene, in the form the optimiser holds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from splat import checks

#: Y_0, the constant SH basis function: rgb = 0.5 + SH_C0 * sh[:, 0].
SH_C0 = 0.28209479177387814


@dataclass
class Gaussians:
    """N anisotropic 3D Gaussians with view-dependent colour.

    The tensors are the unconstrained parameters; `scales` and `opacities` are the quantities that are rendered.

    Attributes:
        means: [N, 3] centres, world units.
        quats: [N, 4] rotations, wxyz, of any length but zero; normalised where used.
        log_scales: [N, 3] natural logarithms of the standard deviations along the rotated axes, world units.
        opacity_logits: [N] inverse sigmoid of the peak opacity.
        sh: [N, K, 3] spherical-harmonic colour coefficients, K = (degree + 1)^2; sh[:, 0] is the constant term. They
            may be bfloat16 where the others are float32.
        antialias: the screen-space filter that they are meant for, of `splat.render.ANTIALIAS`; the file formats that
            can say so keep it.
    """

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    sh: Tensor
    antialias: str = field(default="classic", kw_only=True)

    def __post_init__(self) -> None:
        checks.gaussians(self.means, self.quats, self.log_scales, self.opacity_logits, self.sh)

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:
        """[N, 3] standard deviations, world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N] peak opacities in (0, 1)."""
        return self.opacity_logits.sigmoid()

    @property
    def sh_degree(self) -> int:
        return math.isqrt(self.sh.shape[1]) - 1

    @property
    def device(self) -> torch.device:
        return self.means.device

    def parameters(self) -> dict[str, Tensor]:
        """The five tensors by name, in declaration order."""
        return {name: getattr(self, name) for name in PARAMETERS}

    @staticmethod
    def of(parameters: Mapping[str, Tensor]) -> Gaussians:
        """From tensors by name, as `parameters` gives them."""
        return Gaussians(*(parameters[name] for name in PARAMETERS))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Gaussians:
        return self._map(lambda tensor: tensor.to(device=device, dtype=dtype))

    def detach(self) -> Gaussians:
        return self._map(Tensor.detach)

    def select(self, index: Tensor) -> Gaussians:
        """The Gaussians that a boolean mask [N] or an index tensor [M] picks, in its order."""
        return self._map(lambda tensor: tensor[index])

    @staticmethod
    def concat(parts: Iterable[Gaussians]) -> Gaussians:
        """All parts after one another; they share one SH degree, and the first one's filter is kept."""
        first, *others = parts
        rest = [part.parameters() for part in others]
        tensors = first.parameters().items()
        return replace(first, **{name: torch.cat([t, *(part[name] for part in rest)]) for name, t in tensors})

    def with_sh_degree(self, degree: int) -> Gaussians:
        """A copy truncated, or padded with zeros, to an SH degree."""
        wanted = (degree + 1) ** 2
        sh = self.sh.new_zeros(len(self), wanted, 3)
        kept = min(wanted, self.sh.shape[1])
        sh[:, :kept] = self.sh[:, :kept]
        return replace(self, sh=sh)

    def transform(self, similarity: Tensor) -> Gaussians:
        """Moves the scene by a similarity x -> s R x + t.

        Args:
            similarity: [4, 4], upper left 3x3 block s R with a rotation R and a scale s > 0.

        Returns:
            The moved scene; its colours are rotated with it, so that a camera moved along sees the same image.

        Raises:
            ValueError: the matrix is not a similarity.
        """
        matrix = similarity.to(device=self.device, dtype=torch.float64)
        linear, translation = matrix[:3, :3], matrix[:3, 3]
        scale = torch.linalg.det(linear).clamp(min=0) ** (1 / 3)
        rotation = linear / scale
        identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
        if not scale > 0 or not torch.allclose(rotation @ rotation.T, identity, atol=1e-6):
            raise ValueError("similarity must be [4, 4] with upper left block s R, R a rotation and s > 0")
        dtype = self.means.dtype
        return replace(
            self,
            means=(self.means.double() @ linear.T + translation).to(dtype),
            quats=quaternion_product(_quaternion_from_rotation(rotation).to(dtype), self.quats),
            log_scales=self.log_scales + scale.log().to(dtype),
            sh=_rotate_sh(self.sh.to(dtype), rotation),
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Gaussians:
        """The same scene with every tensor changed."""
        return replace(self, **{name: change(tensor) for name, tensor in self.parameters().items()})


#: The names of the tensors, in declaration order.
PARAMETERS = tuple(item.name for item in fields(Gaussians) if item.name != "antialias")


def _quaternion_from_rotation(rotation: Tensor) -> Tensor:
    """[4] wxyz of a rotation matrix [3, 3] (Shepperd's method: divide by the largest component)."""
    m = rotation.tolist()
    trace = m[0][0] + m[1][1] + m[2][2]
    squares = [trace, m[0][0], m[1][1], m[2][2]]
    largest = max(range(4), key=lambda i: squares[i])
    if largest == 0:
        q = [1 + trace, m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]]
    else:
        i = largest - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = [0.0] * 4
        q[0] = m[k][j] - m[j][k]
        q[1 + i] = 1 + m[i][i] - m[j][j] - m[k][k]
        q[1 + j] = m[j][i] + m[i][j]
        q[1 + k] = m[k][i] + m[i][k]
    quat = torch.tensor(q, dtype=torch.float64, device=rotation.device)
    return quat / quat.norm()


def quaternion_product(a: Tensor, b: Tensor) -> Tensor:
    """[..., 4] Hamilton product a b, wxyz, of [..., 4] each."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """[M, K] the basis functions of the coefficients `Gaussians.sh` at unit directions [M, 3], from the camera."""
    from splat.reference.sh import sh_basis

    return sh_basis(directions, degree)


def _rotate_sh(sh: Tensor, rotation: Tensor) -> Tensor:
    """Rotates coefficients [N, K, 3] so that the colour seen along R d is what was seen along d.

    Each band l maps onto itself by a (2l + 1)-square matrix. It is the solution of Y_l(R d) D = Y_l(d) over more
    directions than coefficients, which is exact and needs no recursion.
    """
    directions = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(sh.device)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    degree = math.isqrt(sh.shape[1]) - 1
    before, after = sh_basis(directions, degree), sh_basis(directions @ rotation.T, degree)
    rotated = sh.clone()
    for band in range(1, degree + 1):
        rows = slice(band * band, (band + 1) ** 2)
        matrix = torch.linalg.lstsq(after[:, rows], before[:, rows]).solution
        rotated[:, rows] = torch.einsum("ij,njc->nic", matrix.to(sh.dtype), sh[:, rows])
    return rotated
