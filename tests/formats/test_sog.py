"""SOG: what is written comes back within what its steps say; damage is told, not believed."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from splat.errors import SplatError
from splat.formats import read, sog, write
from splat.formats.clean import FLAT_LOG_SCALE, MAX_LOGIT
from splat.gaussians import Gaussians
from splat.morton import morton_order


def random_gaussians(count: int, degree: int, seed: int = 0, spread: float = 1.0) -> Gaussians:
    """In Morton order, so that a file keeps the order."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    means = spread * normal(count, 3)
    sh = 0.3 * normal(count, (degree + 1) ** 2, 3)
    scene = Gaussians(means, normal(count, 4), normal(count, 3) - 3, 2 * normal(count), sh)
    return scene.select(morton_order(scene.means))


def covariances(scene: Gaussians) -> torch.Tensor:
    """[N, 3, 3], in float64."""
    w, x, y, z = torch.nn.functional.normalize(scene.quats.double(), dim=-1).unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    half = torch.stack(rows, -1).view(-1, 3, 3) * scene.log_scales.double().exp()[:, None]
    return half @ half.mT


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def webp(texels: Any, **options: Any) -> bytes:
    content = io.BytesIO()
    picture = Image.fromarray(np.asarray(texels, np.uint8))
    picture.save(content, "WEBP", **{"lossless": True, "exact": True, "method": 0, **options})
    return content.getvalue()


def texels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


@settings(max_examples=12)
@given(st.integers(0, 3), st.integers(1, 40), st.integers(0, 99), st.sampled_from([1e-3, 1.0, 3000.0]))
def test_every_value_comes_back_within_half_a_step(tmp_path_factory, degree, count, seed, spread) -> None:
    scene = random_gaussians(count, degree, seed, spread)
    path = tmp_path_factory.mktemp("sog") / "scene.sog"
    write(scene, path)
    copy = read(path)
    assert (len(copy), copy.sh_degree, copy.antialias) == (count, degree, "classic")

    slopes = 1 + scene.means.abs()
    logs = (scene.means.sign() * slopes.log()).double()
    typical = (scene.log_scales.median(1).values.exp() / slopes.amax(1)).median()
    step = torch.maximum((logs.amax(0) - logs.amin(0)) / 65535, sog.MEAN_STEP * typical.double())
    assert ((copy.means - scene.means).abs() <= (0.51 * step).expm1() * slopes + 1e-6 * slopes).all()
    assert ((copy.opacities - scene.opacities).abs() <= (sog.BYTE_STEP / 2 + 0.01) / 255).all()
    assert ((copy.sh[:, 0] - scene.sh[:, 0]).abs() <= sog.COLOR_STEP * 1.01).all()
    assert ((copy.sh[:, 1:] - scene.sh[:, 1:]).abs() <= sog.SH_STEP * 1.01).all()
    # Axes may have traded places, so scales compare in order and rotations by what they do.
    scales, copied = scene.log_scales.sort(1).values, copy.log_scales.sort(1).values
    assert ((copied - scales).abs() <= sog.SCALE_STEP * 1.01).all()
    size = scene.log_scales.amax(1).exp().square()[:, None, None]
    assert ((covariances(copy) - covariances(scene)).abs() <= 0.15 * size).all()


@settings(max_examples=10)
@given(st.integers(0, 999))
def test_renamed_axes_are_the_same_gaussian(seed: int) -> None:
    scene = random_gaussians(8, 0, seed).to(dtype=torch.float64)
    quats = torch.nn.functional.normalize(scene.quats, dim=-1).float()
    turned, scales = sog._nearest_identity(quats, scene.log_scales.float())
    renamed = dataclasses.replace(scene, quats=turned.double(), log_scales=scales.double())
    torch.testing.assert_close(covariances(renamed), covariances(scene), rtol=1e-4, atol=1e-6)
    # No rotation is further from a cube's than 62.8 degrees.
    assert (turned[:, 0].abs() > 0.853).all()


def test_extremes_are_bounded(tmp_path: Path) -> None:
    scene = random_gaussians(6, 1)
    scene.opacity_logits[:4] = torch.tensor([torch.inf, -torch.inf, 40.0, -40.0])
    scene.log_scales[0] = torch.tensor([-torch.inf, 6.0, -12.0])
    scene.means[1] = torch.tensor([3000.0, -3000.0, 0.0])
    scene.quats[2] = torch.tensor([0.0, 0.0, 0.0, -5.0])
    scene.sh[3] = 1e6
    write(scene, tmp_path / "scene.sog")
    copy = read(tmp_path / "scene.sog")
    scene = scene.select(morton_order(scene.means))
    assert copy.opacity_logits.abs().max() == MAX_LOGIT
    torch.testing.assert_close(copy.means, scene.means, rtol=0.005, atol=0.01)
    assert copy.log_scales.min() == FLAT_LOG_SCALE and copy.log_scales.max() == 6
    assert (copy.sh - scene.sh).abs().max() < 0.04


def test_positions_far_from_the_origin(tmp_path: Path) -> None:
    scene = random_gaussians(300, 0)
    scene.means += 50_000
    write(scene, tmp_path / "scene.sog")
    copy = read(tmp_path / "scene.sog")
    # Half of the steps of float32 there and of 16 bits of the scene's size.
    assert (torch.cdist(copy.means, scene.means).amin(1)).max() < 0.01


def test_gaussians_larger_than_numbers_can_be_read_back(tmp_path: Path) -> None:
    scene = random_gaussians(9, 0)
    write(dataclasses.replace(scene, log_scales=scene.log_scales + 120), tmp_path / "scene.sog")
    assert len(read(tmp_path / "scene.sog")) == 9


@pytest.mark.parametrize("count", [0, 1, 3, 256, 257, 1023])
def test_counts_that_fill_no_picture(tmp_path: Path, count: int) -> None:
    write(random_gaussians(count, 1), tmp_path / "scene.sog")
    assert len(read(tmp_path / "scene.sog")) == count
    shape = texels(unpacked(tmp_path / "scene.sog")["quats.webp"]).shape
    assert shape[0] % 4 == shape[1] % 4 == 0


def test_gaussians_that_are_not_finite_are_left_out_with_their_importance(tmp_path: Path) -> None:
    scene = random_gaussians(5, 1)
    scene.means[2, 1] = torch.nan
    write(scene, tmp_path / "scene.sog", importance=torch.arange(5.0))
    assert len(read(tmp_path / "scene.sog")) == 4
    with pytest.raises(ValueError, match=r"importance must be \[N\] with N = 5, got \[4\]"):
        write(scene, tmp_path / "scene.sog", importance=torch.ones(4))


def test_layout_is_the_format_s(tmp_path: Path) -> None:
    scene = random_gaussians(70, 2)
    write(scene, tmp_path / "scene.sog")
    with zipfile.ZipFile(tmp_path / "scene.sog") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    members = unpacked(tmp_path / "scene.sog")
    meta = json.loads(members.pop("meta.json"))
    files = {name: entry["files"] for name, entry in meta.items() if isinstance(entry, dict) and "files" in entry}
    assert files == {
        "means": ["means_l.webp", "means_u.webp"],
        "scales": ["scales.webp"],
        "quats": ["quats.webp"],
        "sh0": ["sh0.webp"],
        "shN": ["shN_centroids.webp", "shN_labels.webp"],
    }
    assert (meta["version"], meta["count"], meta["shN"]["bands"], meta["shN"]["count"]) == (2, 70, 2, 70)
    assert all(len(meta[key]["codebook"]) == 256 for key in ("scales", "sh0", "shN"))
    assert all(content[12:16] == b"VP8L" for content in members.values())
    assert texels(members["quats.webp"]).shape == (8, 12, 4)
    assert texels(members["shN_centroids.webp"]).shape == (2, 64 * 8, 4)
    # The second coefficient of Gaussian 65 stands in row 1, column 1 * 8 + 1.
    codes = texels(members["shN_centroids.webp"])[1, 9, :3]
    np.testing.assert_allclose(np.array(meta["shN"]["codebook"])[codes], scene.sh[65, 2], atol=sog.SH_STEP)


def test_what_cannot_be_seen_keeps_its_colour(tmp_path: Path) -> None:
    """libwebp drops the colours of texels of alpha 0 unless told not to, and sh0's alpha is the opacity."""
    scene = random_gaussians(64, 0)
    scene.opacity_logits[::2] = -12
    write(scene, tmp_path / "scene.sog")
    assert (texels(unpacked(tmp_path / "scene.sog")["sh0.webp"]).reshape(-1, 4)[:64:2, 3] == 0).all()
    assert (read(tmp_path / "scene.sog").sh - scene.sh).abs().max() < sog.COLOR_STEP


@pytest.mark.parametrize("antialias", ["classic", "antialiased", "mip"])
def test_the_filter_is_said(tmp_path: Path, antialias: str) -> None:
    scene = dataclasses.replace(random_gaussians(2, 0), antialias=antialias)
    write(scene, tmp_path / "scene.sog")
    assert read(tmp_path / "scene.sog").antialias == ("classic" if antialias == "classic" else "antialiased")


def test_a_folder_is_the_same_scene(tmp_path: Path) -> None:
    scene = random_gaussians(50, 3)
    write(scene, tmp_path / "scene.sog")
    write(scene, tmp_path / "folder" / "meta.json")
    assert unpacked(tmp_path / "scene.sog") == {
        file.name: file.read_bytes() for file in (tmp_path / "folder").iterdir()
    }
    for name, tensor in read(tmp_path / "scene.sog").parameters().items():
        assert torch.equal(tensor, read(tmp_path / "folder" / "meta.json").parameters()[name])
    (tmp_path / "folder" / "quats.webp").unlink()
    with pytest.raises(SplatError, match=r"needs quats\.webp beside it"):
        read(tmp_path / "folder" / "meta.json")


def test_more_gaussians_than_the_palette_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sog, "MAX_PALETTE", 64)
    scene = random_gaussians(1000, 1)
    scene.sh[::2, 1:] = 0.5
    scene.sh[1::2, 1:] = -0.5
    write(scene, tmp_path / "few.sog")
    assert (read(tmp_path / "few.sog").sh - scene.sh).abs()[:, 1:].max() < 1e-6
    # With some sixteen kinds of colour in each entry, steps elsewhere are coarser, but not without bounds.
    scene.sh[:, 1:] = 10 * torch.randn(1000, 3, 3, generator=torch.Generator().manual_seed(0))
    write(scene, tmp_path / "many.sog")
    copy = read(tmp_path / "many.sog")
    assert (copy.sh[:, 0] - scene.sh[:, 0]).abs().max() <= 1.01 * sog.MAX_COARSENESS * sog.COLOR_STEP
    few, many = unpacked(tmp_path / "few.sog"), unpacked(tmp_path / "many.sog")
    assert all(len(many[name]) < len(few[name]) for name in ("means_l.webp", "quats.webp", "scales.webp", "sh0.webp"))


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sog, "MAX_PALETTE", 32)
    for name in ("a.sog", "b.sog"):
        write(random_gaussians(100, 1), tmp_path / name)
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()


def first_version(tmp_path: Path) -> tuple[Path, dict[str, Any], dict[str, np.ndarray]]:
    """A file of two Gaussians as the first version's writers made it: ranges in place of codebooks."""
    pictures = {name: np.zeros((4, 4, 4), np.uint8) for name in ("means_l", "means_u", "scales", "quats", "sh0")}
    pictures |= {"shN_labels": np.zeros((4, 4, 4), np.uint8), "shN_centroids": np.zeros((1, 192, 4), np.uint8)}
    for name in set(pictures) - {"quats", "sh0"}:
        pictures[name][..., 3] = 255
    pictures["means_l"][0, :2, 0], pictures["means_u"][0, :2, 0] = (0, 255), (0, 255)
    pictures["scales"][0, 1, :3] = 51, 102, 255
    pictures["quats"][0, 0], pictures["quats"][0, 1] = (128, 128, 128, 252), (255, 128, 128, 254)
    pictures["sh0"][0, 1] = 255, 0, 51, 204
    pictures["shN_labels"][0, 1, :2] = 2, 0
    pictures["shN_centroids"][0, 2 * 3 + 1, :3] = 255, 0, 51
    meta: dict[str, Any] = {
        "means": {"shape": [2, 3], "mins": [-1, 0, 0], "maxs": [np.log(3), 0, 0]},
        "scales": {"shape": [2, 3], "mins": [-5, -5, -10], "maxs": [0, 0, 0]},
        "quats": {"shape": [2, 4], "encoding": "quaternion_packed"},
        "sh0": {"shape": [2, 1, 4], "mins": [-1, -1, -1, -5], "maxs": [1, 1, 1, 5]},
        "shN": {"shape": [2, 3], "mins": -2, "maxs": 3, "files": ["shN_centroids.webp", "shN_labels.webp"]},
    }
    meta["means"]["files"] = ["means_l.webp", "means_u.webp"]
    for name in ("scales", "quats", "sh0"):
        meta[name]["files"] = [f"{name}.webp"]
    return tmp_path / "first.sog", meta, pictures


def test_the_first_version_is_read(tmp_path: Path) -> None:
    path, meta, pictures = first_version(tmp_path)
    members = {f"{name}.webp": webp(picture) for name, picture in pictures.items()}
    pack(path, members | {"meta.json": json.dumps(meta).encode()})
    scene = read(path)
    torch.testing.assert_close(scene.means, torch.tensor([[1 - np.e, 0, 0], [2.0, 0, 0]], dtype=torch.float32))
    torch.testing.assert_close(scene.log_scales, torch.tensor([[-5.0, -5, -10], [-4.0, -3, 0]]))
    half = 0.5**0.5
    torch.testing.assert_close(scene.quats, torch.tensor([[1.0, 0, 0, 0], [half, 0, half, 0]]), rtol=0, atol=0.01)
    torch.testing.assert_close(scene.sh[1, 0], torch.tensor([1.0, -1.0, -0.6]))
    torch.testing.assert_close(scene.opacity_logits, torch.tensor([-5.0, 3.0]))
    assert scene.sh.shape == (2, 4, 3)
    torch.testing.assert_close(scene.sh[1, 1:], torch.tensor([[-2.0] * 3, [3, -2, -1], [-2.0] * 3]))


def edited(path: Path, change: Callable[[dict[str, Any]], Any], **pictures: bytes) -> None:
    members = unpacked(path)
    meta = json.loads(members["meta.json"])
    change(meta)
    replaced = {f"{name}.webp": content for name, content in pictures.items()}
    pack(path, members | replaced | {"meta.json": json.dumps(meta).encode()})


def test_what_other_writers_say(tmp_path: Path) -> None:
    scene, path = random_gaussians(9, 1), tmp_path / "scene.sog"
    write(scene, path)
    before = read(path)
    edited(path, lambda meta: meta.update(model="2dgs", antialias=True))
    assert (read(path).log_scales[:, 2] == FLAT_LOG_SCALE).all() and read(path).antialias == "antialiased"
    # A codebook whose first entry is null continues the others' slope.
    edited(path, lambda meta: meta["scales"].update(codebook=[None, *range(255)]))
    lowest = texels(unpacked(path)["scales.webp"]).reshape(-1, 4)[:9, :3] == 0
    assert lowest.any()
    assert np.allclose(read(path).log_scales.numpy()[:, :2][lowest[:, :2]], -254 / 255)
    # Entries of the palette that are not there have no colour of their own.
    edited(path, lambda meta: meta["shN"].update(count=8))
    assert (read(path).sh[8, 1:] == 0).all() and torch.equal(read(path).sh[:8], before.sh[:8])
    # A quaternion that names no largest component turns nothing.
    quats = texels(unpacked(path)["quats.webp"]).copy()
    quats[0, 0, 3] = 17
    edited(path, lambda meta: None, quats=webp(quats))
    assert read(path).quats[0].tolist() == [1, 0, 0, 0]


def test_packed_members_are_unpacked_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "scene.sog"
    write(random_gaussians(9, 1), path)
    members = unpacked(path)
    pack(path, members, zipfile.ZIP_DEFLATED)
    assert len(read(path)) == 9
    for name in ("meta.json", "quats.webp"):
        pack(path, members | {name: bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
        with pytest.raises(SplatError, match=f"{name} in it is packed as no SOG file's is"):
            read(path)
    pack(path, members, zipfile.ZIP_LZMA)
    with pytest.raises(SplatError, match=r"meta\.json in it is packed"):
        read(path)


def test_a_directory_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "scene.sog"
    # Each of its members would be an object of some hundred bytes.
    entry, count = b"PK\1\2" + bytes(24) + b"\1" + bytes(17) + b"a", 25_000
    ending = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entry) * count, 0, 0)
    path.write_bytes(entry * count + ending)
    with pytest.raises(SplatError, match="its directory is too large"):
        read(path)


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(meta: dict[str, Any]) -> None:
        for key in keys[:-1]:
            meta = meta[key]
        meta[keys[-1]] = value

    return change


DAMAGED = {
    "unknown version": (put("version", value=3), "SOG of version 3"),
    "version of another kind": (put("version", value=[2]), r"SOG of version \[2\]"),
    "no count": (lambda meta: meta.pop("count"), "lacks count"),
    "10^12 of them": (put("count", value=10**12), "count in its meta.json is no number"),
    "fewer than none": (put("count", value=-1), "count in its meta.json is no number"),
    "half of one": (put("count", value=0.5), "count in its meta.json is no number"),
    "true": (put("count", value=True), "count in its meta.json is no number"),
    "more than the file can hold": (put("count", value=10**8), "claims 100,000,000 Gaussians, which its"),
    "more than the pictures hold": (put("count", value=200), "picture of 4 x 4 in it does not fit"),
    "no means": (lambda meta: meta.pop("means"), "lacks means.files.0"),
    "means of another kind": (put("means", value=7), "lacks means.files.0"),
    "no numbers": (put("means", "mins", value=["a", 0, 0]), "means.mins in its meta.json is not 3 numbers"),
    "NaN": (put("means", "maxs", value=[float("nan"), 0, 0]), "means.maxs in its meta.json is not 3 numbers"),
    "two": (put("means", "maxs", value=[0, 0]), "means.maxs in its meta.json is not 3 numbers"),
    "a huge one": (put("means", "maxs", value=[10**400, 0, 0]), "means.maxs in its meta.json is not 3 numbers"),
    "short codebook": (put("sh0", "codebook", value=[0.0] * 255), "codebook of sh0.*not 256 numbers"),
    "codebook of lists": (put("sh0", "codebook", value=[[0.0]] * 256), "codebook of sh0.*not 256 numbers"),
    "uneven codebook": (put("sh0", "codebook", value=[[0.0], 1]), "codebook of sh0.*not 256 numbers"),
    "codebook of NaN": (put("sh0", "codebook", value=[float("nan")] * 256), "codebook of sh0.*not 256 numbers"),
    "another folder": (put("quats", "files", value=["../quats.webp"]), "names no file for quats"),
    "no name": (put("quats", "files", value=[7]), "names no file for quats"),
    "a name not there": (put("quats", "files", value=["q.webp"]), r"lacks q\.webp"),
    "no picture": (put("quats", "files", value=["meta.json"]), "no lossless WebP"),
    "other bands": (put("shN", "bands", value=3), "holds 1 SH bands, which its meta.json denies"),
    "no palette size": (put("shN", "count", value="all"), "shN.count in its meta.json is no number"),
    "SH of another kind": (put("shN", value=[1]), "lacks shN.files.0"),
}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, name: str, folder: bool) -> None:
    change, reason = DAMAGED[name]
    path = tmp_path / "scene.sog"
    write(random_gaussians(9, 1), path)
    edited(path, change)
    if folder:
        reason = reason.replace("lacks q", "needs q")
        for file, content in unpacked(path).items():
            (tmp_path / file).write_bytes(content)
        path = tmp_path / "meta.json"
    with pytest.raises(SplatError, match=reason) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


PICTURES = {
    "lossy": (webp(np.zeros((4, 4, 4)), lossless=False), "no lossless WebP"),
    "empty": (b"", "no lossless WebP"),
    "a header": (webp(np.zeros((4, 4, 4)))[:25], "cannot be decoded"),
    "a bomb": (webp(np.zeros((4000, 4000, 4))), "picture of 4000 x 4000 in it does not fit"),
    "too small": (webp(np.zeros((2, 4, 4))), "picture of 4 x 2 in it does not fit"),
    "no width of a palette": (webp(np.zeros((1, 65, 4))), "palette is 65 texels wide"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_looked_at_before_they_are_decoded(tmp_path: Path, name: str) -> None:
    content, reason = PICTURES[name]
    path = tmp_path / "scene.sog"
    write(random_gaussians(9, 1), path)
    edited(path, lambda meta: None, **{"shN_centroids" if "palette" in name else "sh0": content})
    with pytest.raises(SplatError, match=reason):
        read(path)


def test_a_picture_beyond_pillow_s_own_bound_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(random_gaussians(9, 1), tmp_path / "scene.sog")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    with pytest.raises(SplatError, match="cannot be decoded"):
        read(tmp_path / "scene.sog")


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"{", b"\xff\xfe", b"[]", b'{"version": ' + b"9" * 9999 + b"}"]
)
def test_hostile_json(tmp_path: Path, content: bytes) -> None:
    pack(tmp_path / "scene.sog", {"meta.json": content})
    with pytest.raises(SplatError, match=r"scene\.sog is a damaged SOG file: its meta\.json is no"):
        read(tmp_path / "scene.sog")


@settings(max_examples=12)
@given(st.data())
def test_any_cut_is_noticed(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("cut") / "scene.sog"
    write(random_gaussians(4, 1), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(SplatError, match=r"scene\.sog"):
        read(path)


@settings(max_examples=12)
@given(st.data())
def test_a_flipped_bit_is_noticed_or_harmless(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("flip") / "scene.sog"
    write(random_gaussians(4, 1), path)
    whole = bytearray(path.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    try:
        assert len(read(path)) == 4
    except SplatError as error:
        assert "\n" not in str(error)
