""".ksplat: all levels, sections and buckets are read; damage is told, not believed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.errors import SplatError
from splat.formats import read, write
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOGIT
from splat.gaussians import SH_C0, Gaussians

BLOCK_SIZE, STEPS = 5.0, 32767


def random_gaussians(count: int, degree: int) -> Gaussians:
    generator = torch.Generator().manual_seed(count + degree)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    quats = torch.nn.functional.normalize(normal(count, 4), dim=-1)
    sh = 0.3 * normal(count, (degree + 1) ** 2, 3)
    return Gaussians(normal(count, 3), quats, normal(count, 3) - 3, normal(count), sh)


def header(level: int, count: int, sections: int, sh_range: tuple[float, float] = (0, 0), version: int = 1) -> bytes:
    numbers = (0, version, sections, sections, count, count, level, *sh_range)
    return struct.pack("<BB2xIIIIH14xff", *numbers).ljust(4096, b"\0")


def section_header(count: int, places: int, bucket_size: int, full: int, partial: int, degree: int, **other) -> bytes:
    numbers = [count, places, bucket_size, other.get("buckets", full + partial), BLOCK_SIZE]
    numbers += [other.get("bucket_bytes", 12), other.get("steps", 0), 0, full, partial, degree]
    return struct.pack("<IIIIfH2xIIIIH", *numbers).ljust(1024, b"\0")


def records(scene: Gaussians, level: int, centers: np.ndarray, sh_range: tuple[float, float]) -> bytes:
    """[N] records of a section; `centers` [N, 3] are those of the Gaussians' buckets."""
    count, degree = len(scene), scene.sh_degree
    position, number = (("<f4", "<f4"), ("<u2", "<f2"), ("<u2", "<f2"))[level]
    kinds = [("position", position, 3), ("scale", number, 3), ("rotation", number, 4), ("rgba", "u1", 4)]
    table = np.zeros(count, [*kinds, ("sh", "u1" if level == 2 else number, 3 * (degree + 1) ** 2 - 3)])
    table["position"] = scene.means
    if level:
        table["position"] = np.round((scene.means.numpy() - centers) * STEPS / (BLOCK_SIZE / 2)) + STEPS
    table["scale"], table["rotation"] = scene.scales, scene.quats
    rgb = (0.5 + SH_C0 * scene.sh[:, 0]).clamp(0, 1)
    table["rgba"] = (torch.cat([rgb, scene.opacities[:, None]], 1) * 255).round()
    # Each band channel by channel.
    bands = [scene.sh[:, k * k : (k + 1) ** 2].transpose(1, 2).flatten(1) for k in range(1, degree + 1)]
    rest = torch.cat([scene.sh[:, :0, 0], *bands], 1)
    low, high = sh_range
    table["sh"] = ((rest - low) / (high - low) * 255).round() if level == 2 else rest
    return table.tobytes()


def section(
    scene: Gaussians, level: int, full: int, lengths: list[int], sh_range, spare: int = 0
) -> tuple[bytes, bytes]:
    """A section's header and its data: full buckets of 4, then those of `lengths`, and unused places behind."""
    bucket_of = np.repeat(np.arange(full + len(lengths)), [4] * full + lengths)
    centers = np.zeros((full + len(lengths), 3), np.float32)
    for bucket in range(len(centers)):
        inside = scene.means[bucket_of == bucket].numpy()
        centers[bucket] = (inside.min(0) + inside.max(0)) / 2
    data = records(scene, level, centers[bucket_of], sh_range)
    places = len(scene) + spare
    data += bytes(len(data) // len(scene) * spare)
    if level == 0:
        return section_header(len(scene), places, 0, 0, 0, scene.sh_degree, bucket_bytes=0), data
    head = section_header(len(scene), places, 4, full, len(lengths), scene.sh_degree)
    return head, np.array(lengths, "<u4").tobytes() + centers.tobytes() + data


def file_of(level: int, scenes: list[Gaussians], sh_range: tuple[float, float] = (-1.5, 1.5)) -> bytes:
    """One section for each scene of at least six Gaussians: one full bucket of 4 and two others."""
    sections = [section(scene, level, 1, [2, len(scene) - 6], sh_range, spare=3) for scene in scenes]
    start = header(level, sum(map(len, scenes)), len(scenes), sh_range if sh_range != (-1.5, 1.5) else (0, 0))
    return start + b"".join(head for head, _ in sections) + b"".join(data for _, data in sections)


@pytest.mark.parametrize("sh_range", [(-1.5, 1.5), (-2.0, 1.0)])
@pytest.mark.parametrize("degree", range(3))
@pytest.mark.parametrize("level", range(3))
def test_all_levels_sections_and_buckets(tmp_path: Path, level: int, degree: int, sh_range) -> None:
    # The first section has SH of a lower degree than the scene.
    scenes = [random_gaussians(9, max(degree - 1, 0)), random_gaussians(11, degree)]
    (tmp_path / "scene.ksplat").write_bytes(file_of(level, scenes, sh_range))
    back = read(tmp_path / "scene.ksplat")
    scene = Gaussians.concat([part.with_sh_degree(degree) for part in scenes])
    assert back.sh_degree == degree
    half = 1e-6 if level == 0 else 1e-3
    torch.testing.assert_close(back.means, scene.means, rtol=0, atol=1e-6 if level == 0 else 2.5 / STEPS / 2 + 1e-6)
    torch.testing.assert_close(back.scales, scene.scales, rtol=half, atol=1e-7)
    torch.testing.assert_close(back.quats, scene.quats, rtol=half, atol=1e-6)
    torch.testing.assert_close(back.opacities, scene.opacities, rtol=0, atol=0.5 / 255 + 1e-6)
    rgb = (0.5 + SH_C0 * scene.sh[:, 0]).clamp(0, 1)
    torch.testing.assert_close(0.5 + SH_C0 * back.sh[:, 0], rgb, rtol=0, atol=0.5 / 255 + 1e-6)
    step = (sh_range[1] - sh_range[0]) / 255 / 2 + 1e-6 if level == 2 else half
    wanted = scene.sh[:, 1:].clamp(*sh_range) if level == 2 else scene.sh[:, 1:]
    # Padding is zero, not the middle of a byte's range.
    torch.testing.assert_close(back.sh[:, 1:], wanted, rtol=half, atol=step)
    lower = (scenes[0].sh_degree + 1) ** 2
    assert not back.sh[:9, lower:].any()


def test_what_is_not_finite_is_bounded_or_left_out(tmp_path: Path) -> None:
    scene = random_gaussians(7, 0)
    scene.log_scales[0, 0], scene.opacity_logits[1], scene.opacity_logits[2] = -torch.inf, -30, 30
    scene.means[3] = torch.nan
    (tmp_path / "scene.ksplat").write_bytes(file_of(0, [scene]))
    with pytest.warns(UserWarning, match="1 of 7"):
        back = read(tmp_path / "scene.ksplat")
    assert back.log_scales[0, 0] == FLAT_LOG_SCALE
    assert back.opacity_logits[1:3].tolist() == [-MAX_LOGIT, MAX_LOGIT]


def test_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "scene.ksplat").write_bytes(header(1, 0, 1) + section_header(0, 0, 256, 0, 0, 2))
    assert len(read(tmp_path / "scene.ksplat")) == 0


def test_it_is_read_alone(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match=r"\.ksplat files are read here, not written; choose one of .*\.ply"):
        write(random_gaussians(1, 0), tmp_path / "scene.ksplat")


BIG = 2**32 - 1
DAMAGED = {
    "empty": (b"", "its 0 bytes are fewer than a header"),
    "other version": (header(0, 0, 0, version=2), "no .ksplat of version 0.1"),
    "level 3": (header(3, 0, 0), "level 3"),
    "endless sections": (header(0, 0, BIG), "claims 4,294,967,295 sections"),
    "sections missing": (header(1, 0, 2) + bytes(1024), "claims 2 sections"),
    "endless records": (header(0, BIG, 1) + section_header(BIG, BIG, 0, 0, 0, 2), "claims 1 sections"),
    "endless buckets": (header(1, 0, 1) + section_header(0, 0, 256, BIG, 0, 0), "claims 1 sections"),
    "endless lengths": (header(1, 0, 1) + section_header(0, 0, 256, 0, BIG, 0), "claims 1 sections"),
    "full buckets beyond all": (
        header(1, 0, 1) + section_header(0, 0, 256, BIG, 1, 0, buckets=1) + bytes(16),
        "fewer places or buckets",
    ),
    "more records than places": (header(0, 2, 1) + section_header(2, 1, 0, 0, 0, 0) + bytes(44), "fewer places"),
    "degree 3": (header(0, 0, 1) + section_header(0, 0, 0, 0, 0, 3), "SH of degree 3"),
    "other counts": (header(0, 2, 1) + section_header(1, 1, 0, 0, 0, 0) + bytes(44), "do not hold the 2 Gaussians"),
    "no buckets": (header(1, 1, 1) + section_header(1, 1, 256, 0, 0, 0) + bytes(24), "buckets of a section"),
    "buckets too small": (header(1, 2, 1) + section_header(2, 2, 1, 1, 0, 0) + bytes(12 + 48), "buckets of a section"),
    "buckets of one number": (header(1, 0, 1) + section_header(0, 0, 1, 1, 0, 0, bucket_bytes=4) + bytes(12), "fewer"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    path = tmp_path / "scene.ksplat"
    path.write_bytes(content)
    with pytest.raises(SplatError, match=reason) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=25)
@given(st.data(), st.integers(0, 2))
def test_any_cut_is_noticed(tmp_path_factory, data, level: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "scene.ksplat"
    whole = file_of(level, [random_gaussians(7, 1)])
    # Behind the header, where most of the numbers are zero, as well as within.
    path.write_bytes(whole[: data.draw(st.integers(0, 50) | st.integers(4000, len(whole) - 1))])
    with pytest.raises(SplatError, match=r"scene\.ksplat"):
        read(path)
