""".splat: what is written comes back as close as bytes allow, what shows most first; damage is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splat.errors import SplatError
from splat.formats import read, write
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOG_SCALE, MAX_LOGIT
from splat.formats.dotsplat import RECORD
from splat.gaussians import SH_C0, Gaussians

finite = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**99), max_value=2.0**99)


@settings(max_examples=20)
@given(st.data(), st.integers(0, 3), st.integers(1, 6))
def test_any_scene_comes_back_within_half_a_step(tmp_path_factory, data, degree, count) -> None:
    shapes = {"quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    shapes["sh"] = (count, (degree + 1) ** 2, 3)
    tensors = {k: torch.from_numpy(data.draw(hnp.arrays(np.float32, s, elements=finite))) for k, s in shapes.items()}
    # Lengths whose squares float32 holds.
    tensors["quats"] = tensors["quats"].clamp(-1e6, 1e6)
    tensors["quats"][:, 0] += (tensors["quats"].norm(dim=-1) < 1e-6) * 1e-3
    # By which each is known again.
    tensors["means"] = torch.arange(3 * count).view(count, 3) / 3
    scene, path = Gaussians.of(tensors), tmp_path_factory.mktemp("splat") / "scene.splat"
    write(scene, path)
    assert path.stat().st_size == 32 * count
    copy = read(path)
    copy = copy.select(copy.means[:, 0].argsort())
    assert torch.equal(copy.means, scene.means)
    log_scales = scene.log_scales.clamp(FLAT_LOG_SCALE, MAX_LOG_SCALE)
    torch.testing.assert_close(copy.log_scales, log_scales, rtol=0, atol=1e-5)
    assert (copy.opacities - scene.opacities).abs().max() <= 0.5001 / 255
    colours, wanted = (0.5 + SH_C0 * sh[:, 0] for sh in (copy.sh, scene.sh))
    assert (colours - wanted.clamp(0, 1)).abs().max() <= 0.5001 / 255
    quats = torch.nn.functional.normalize(scene.quats.double(), dim=-1)
    apart = torch.minimum((copy.quats - quats).abs().amax(1), (copy.quats + quats).abs().amax(1))
    # Half a step; two components of equal size cannot both be the negative one, which costs another half.
    assert apart.max() <= 1.001 / 128
    assert copy.sh_degree == 0
    assert copy.antialias == "classic"


def test_record_is_the_viewer_s(tmp_path: Path) -> None:
    sh = torch.tensor([[[0.5, -0.5, 0.0]]]) / SH_C0
    scene = Gaussians(
        torch.tensor([[1.0, 2.0, -3.0]]),
        torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        torch.tensor([[0.5, 1.0, 2.0]]).log(),
        torch.zeros(1),
        sh,
    )
    write(scene, tmp_path / "scene.splat")
    records = np.fromfile(tmp_path / "scene.splat", RECORD)
    assert records["means"].tolist() == [[1, 2, -3]]
    np.testing.assert_allclose(records["scales"], [[0.5, 1, 2]], rtol=1e-6)
    assert records["rgba"].tolist() == [[255, 0, 128, 128]]
    # Minus one, as plus one has no byte.
    assert records["quats"].tolist() == [[0, 128, 128, 128]]
    assert read(tmp_path / "scene.splat").quats.tolist() == [[-1, 0, 0, 0]]


def test_what_shows_most_comes_first(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    scene = Gaussians(*(torch.randn(5000, *size, generator=generator) for size in ((3,), (4,), (3,), (), (1, 3))))
    write(scene, tmp_path / "scene.splat")
    records = np.fromfile(tmp_path / "scene.splat", RECORD)
    assert len(records) == 5000
    shows = records["scales"].prod(1, dtype=np.float64) * np.maximum(records["rgba"][:, 3], 0.5)
    # Opacities are rounded behind the sort.
    assert (shows[1:] < shows[:-1] * 1.6).all()
    assert {tuple(mean) for mean in records["means"].tolist()} == {tuple(mean) for mean in scene.means.tolist()}


def test_zeros_and_what_is_no_number_are_repaired(tmp_path: Path) -> None:
    records = np.zeros(4, RECORD)
    records["scales"] = 1
    records["quats"] = [128, 128, 128, 128]
    records["scales"][0] = 0
    records["rgba"][1, 3] = 255
    records["scales"][2, 1] = -1
    records["means"][3, 0] = np.nan
    records.tofile(tmp_path / "scene.splat")
    with pytest.warns(UserWarning, match="2 of 4 Gaussians are not finite"):
        scene = read(tmp_path / "scene.splat")
    assert scene.log_scales.tolist() == [[FLAT_LOG_SCALE] * 3, [0] * 3]
    assert scene.opacity_logits.tolist() == [-MAX_LOGIT, MAX_LOGIT]
    assert scene.quats.tolist() == [[1, 0, 0, 0]] * 2


@pytest.mark.parametrize("size", [0, 1, 31, 33, 100])
def test_parts_of_records_are_noticed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "scene.splat"
    path.write_bytes(bytes(size))
    with pytest.raises(SplatError, match=r"scene\.splat has .* no number of whole Gaussians"):
        read(path)


def test_nothing_cannot_be_written(tmp_path: Path) -> None:
    none = Gaussians(*(torch.zeros(0, *size) for size in ((3,), (4,), (3,), (), (1, 3))))
    with pytest.raises(SplatError, match="without Gaussians"):
        write(none, tmp_path / "scene.splat")
    assert not (tmp_path / "scene.splat").exists()
