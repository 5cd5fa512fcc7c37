"""Our PLY through somebody else's reader and back: PlayCanvas' splat-transform, from tests/oracles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from splat.formats import read, write
from splat.gaussians import Gaussians


@pytest.mark.slow
@pytest.mark.parametrize("degree", range(4))
def test_columns_mean_the_same_to_splat_transform(tmp_path: Path, transform, degree: int) -> None:
    count, generator = 257, torch.Generator().manual_seed(degree)
    sizes = {"means": (count, 3), "quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    sizes["sh"] = (count, (degree + 1) ** 2, 3)
    scene = Gaussians(*(torch.randn(*size, generator=generator) for size in sizes.values()))
    write(scene, tmp_path / "ours.ply")

    transform(tmp_path / "ours.ply", tmp_path / "theirs.csv")
    table = np.genfromtxt(tmp_path / "theirs.csv", delimiter=",", names=True)
    ours = {"x": scene.means[:, 0], "z": scene.means[:, 2], "rot_0": scene.quats[:, 0], "rot_3": scene.quats[:, 3]}
    ours |= {"f_dc_1": scene.sh[:, 0, 1], "opacity": scene.opacity_logits, "scale_2": scene.log_scales[:, 2]}
    rest = scene.sh.shape[1] - 1
    ours |= {f"f_rest_{c * rest + k}": scene.sh[:, 1 + k, c] for c in range(3) for k in range(rest)}
    for name, values in ours.items():
        np.testing.assert_allclose(table[name], values.numpy(), rtol=1e-6, atol=1e-6, err_msg=name)
    assert sum(str(name).startswith("f_rest") for name in table.dtype.names or ()) == 3 * rest

    # And what it writes, in another order of properties, is the same scene to us.
    transform(tmp_path / "ours.ply", tmp_path / "theirs.ply")
    back = read(tmp_path / "theirs.ply")
    for name, tensor in scene.parameters().items():
        torch.testing.assert_close(back.parameters()[name], tensor, rtol=1e-6, atol=1e-6)
