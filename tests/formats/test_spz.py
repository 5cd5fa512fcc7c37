"""SPZ: what comes back is as close as the bits allow, in the right axes; damage is told, not believed."""

from __future__ import annotations

import dataclasses
import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from even_gaussians import angles, even_gaussians, matched
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splat.errors import SplatError
from splat.formats import read, spz, write
from splat.formats.clean import packed
from splat.formats.gzip_threads import PIECE, Part, compressed
from splat.gaussians import Gaussians
from splat.reference.sh import sh_basis


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", range(5))
def test_what_shows_comes_back_within_half_a_step(tmp_path: Path, version: int, degree: int) -> None:
    scene, path = even_gaussians(500, degree), tmp_path / "scene.spz"
    spz.write(scene, path, version=version)
    copy = read(path)
    held = min(degree, 3 if version == 3 else 4)
    assert copy.sh_degree == held
    scene = matched(scene, copy).with_sh_degree(held)
    size = float((scene.log_scales.topk(2).values.sum(1) / 2).exp().mean())
    assert (copy.means - scene.means).abs().max() < size / spz.POSITION_STEPS
    assert (copy.log_scales - scene.log_scales).abs().max() < 1 / 32 + 1e-5
    assert (copy.opacities - scene.opacities).abs().max() < 0.5 / 255 + 1e-5
    assert (copy.sh[:, 0] - scene.sh[:, 0]).abs().max() < 0.5 / spz.COLOUR_STEPS + 1e-5
    # Steps of 2 in 511, half of one in each of three components, and what that makes of an angle.
    assert angles(copy.quats, scene.quats).max() < 2 * 3**0.5 / spz.QUAT_STEPS * 1.9
    if held:
        assert (copy.sh[:, 1:] - scene.sh[:, 1:]).abs().max() < 4.01 / 128


finite = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)


@settings(max_examples=25)
@given(st.data(), st.integers(0, 4), st.integers(0, 6), st.sampled_from([3, 4]))
@pytest.mark.filterwarnings("ignore:.*far from the origin")
def test_whatever_is_written_can_be_read(tmp_path_factory, data, degree, count, version) -> None:
    shapes = {"means": (count, 3), "quats": (count, 4), "log_scales": (count, 3), "opacity_logits": (count,)}
    shapes["sh"] = (count, (degree + 1) ** 2, 3)
    tensors = {k: torch.from_numpy(data.draw(hnp.arrays(np.float32, s, elements=finite))) for k, s in shapes.items()}
    tensors["quats"][:, 0] += (tensors["quats"] == 0).all(-1)
    path = tmp_path_factory.mktemp("spz") / "scene.spz"
    scene = Gaussians.of(tensors)
    spz.write(scene, path, version=version)
    copy = read(path)
    assert len(copy) == count
    for name, tensor in copy.parameters().items():
        assert tensor.isfinite().all(), name
    if not count:
        return
    # The coarsest steps, of what shows least, within the format's ranges.
    scene = scene.select(packed(scene, 4)[1]).with_sh_degree(copy.sh_degree)
    far = spz.FARTHEST / 2 ** struct.unpack_from("<IIIBB", content_of(path))[4]
    bounds = {
        "means": (scene.means.clamp(-far, far), far / spz.FARTHEST),
        "log_scales": (scene.log_scales.clamp(-10, 5.9375), 1 / 16),
        "opacities": (scene.opacities, 4 / 255),
        "sh": (torch.cat([scene.sh[:, :1].clamp(-10 / 3, 10 / 3), scene.sh[:, 1:].clamp(-1, 0.99)], 1), 0.26),
    }
    for name, (wanted, bound) in bounds.items():
        assert (getattr(copy, name) - wanted).abs().max() <= bound * 1.001, name


def content_of(path: Path) -> bytes:
    """The header and, before version 4, the columns."""
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(spz.GZIP_MAGIC) else content


def test_many_pieces_are_one_gzip_member_whatever_the_threads(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 4, 2 * PIECE + 5, np.uint8)
    parts = [Part(content.data, 6), Part(content[:100].data, 1, zlib.Z_HUFFMAN_ONLY), Part(content[:0].data, 9)]
    file = b"".join(compressed(parts))
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert inflate.decompress(file) == content.tobytes() + content[:100].tobytes()
    assert inflate.eof
    assert not inflate.unused_data
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert b"".join(compressed(parts)) == file
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("version", [3, 4])
def test_the_same_scene_gives_the_same_file(tmp_path: Path, version: int) -> None:
    scene = even_gaussians(5000, 1)
    for name in ("a.spz", "b.spz"):
        spz.write(scene, tmp_path / name, version=version)
    assert (tmp_path / "a.spz").read_bytes() == (tmp_path / "b.spz").read_bytes()


def test_layout_is_the_reference_s(tmp_path: Path) -> None:
    """Golden bytes: one Gaussian, SH of degree 1, all of it in the axes of SPZ."""
    sh = torch.zeros(1, 4, 3)
    sh[0, 0] = torch.tensor([0.5, -0.5, 0.0])
    sh[0, 1:] = torch.tensor([[0.25, 0, 0], [0, 0.25, 0], [0, 0, 0.25]])
    quats = torch.tensor([[0.8, 0.6, 0.0, 0.0]])
    scene = Gaussians(torch.tensor([[1.0, 2.0, -3.0]]), quats, torch.full((1, 3), -4.0), torch.zeros(1), sh)
    write(scene, tmp_path / "scene.spz")
    content = content_of(tmp_path / "scene.spz")
    fraction = content[13]
    assert content[:16] == b"NGSP" + struct.pack("<IIBBBB", 3, 1, 1, fraction, 0, 0)
    positions = [int.from_bytes(content[i : i + 3], "little", signed=True) / 2**fraction for i in (16, 19, 22)]
    assert positions == [1, -2, 3]
    assert content[25:32] == bytes([128, 147, 108, 128, 96, 96, 96])
    # w is the largest, number 3; of x, y and z only x is not zero: 0.6 * 511 * sqrt 2 in steps of 2.
    assert struct.unpack("<I", content[32:36])[0] == 3 << 30 | 434 << 20
    # The first coefficient goes with y, the second with z and the third with x.
    assert content[36:] == bytes([96, 128, 128, 128, 96, 128, 128, 128, 160])


AXES = "LDB RDB LUB RUB LDF RDF LUF RUF LBD RBD LBU RBU LFD RFD LFU RFU".split()
TO_RDF = {"R": [1, 0, 0], "L": [-1, 0, 0], "D": [0, 1, 0], "U": [0, -1, 0], "F": [0, 0, 1], "B": [0, 0, -1]}


@pytest.mark.parametrize("number", range(17))
def test_all_axes_that_a_file_can_say(tmp_path: Path, number: int) -> None:
    """The colour along a direction, the covariance and the centre turn with the axes, mirrored ones too."""
    path = tmp_path / "scene.spz"
    scene = even_gaussians(20, 4)
    # The one whose sign is no law but the reference's.
    scene.sh[:, 24] = 0
    spz.write(scene, path, version=4)
    plain = path.read_bytes()

    def as_axes(axes: int) -> Gaussians:
        # Behind an extension that nobody knows.
        told = struct.pack("<IIIIII", 0x12345678, 4, 0, spz.COORDINATES, 4, axes)
        header = bytearray(plain[:32])
        header[14] |= spz.EXTENDED
        struct.pack_into("<I", header, 16, 32 + len(told))
        path.write_bytes(header + told + plain[32:])
        return read(path)

    stored = as_axes(AXES.index("RDF") + 1)
    turned = as_axes(number)
    matrix = torch.tensor([TO_RDF[letter] for letter in AXES[(number or spz.RUB) - 1]]).T.double()
    assert torch.allclose(turned.means.double(), stored.means.double() @ matrix.T)

    def covariances(scene: Gaussians) -> torch.Tensor:
        w, x, y, z = torch.nn.functional.normalize(scene.quats.double(), dim=-1).unbind(-1)
        rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
        rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
        rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
        axes = torch.stack(rows, -1).view(-1, 3, 3) * scene.scales.double()[:, None]
        return axes @ axes.mT

    assert torch.allclose(covariances(turned), matrix @ covariances(stored) @ matrix.T, rtol=1e-4, atol=1e-8)
    directions = torch.nn.functional.normalize(torch.randn(30, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    seen = torch.einsum("dk,nkc->ndc", sh_basis(directions.double(), 4), stored.sh.double())
    seen_turned = torch.einsum("dk,nkc->ndc", sh_basis(directions.double() @ matrix.T, 4), turned.sh.double())
    assert torch.allclose(seen, seen_turned, atol=1e-4)


def test_version_2_and_1_are_read_with_and_without_gzip(tmp_path: Path) -> None:
    columns = bytes([200, 255, 128, 0, 100, 100, 100, 128, 0, 200])
    positions = struct.pack("<iii", -4096, 2048, 1024)
    positions = b"".join(positions[i : i + 3] for i in (0, 4, 8))
    second = struct.pack("<4sIIBBBx", b"NGSP", 2, 1, 0, 12, 1) + positions + columns
    first = (
        struct.pack("<4sIIBBBx", b"NGSP", 1, 1, 0, 12, 0) + np.array([-1, 0.5, 0.25], np.float16).tobytes() + columns
    )
    for content in (first, second):
        for stored in (content, gzip.compress(content)):
            (tmp_path / "scene.spz").write_bytes(stored)
            scene = read(tmp_path / "scene.spz")
            assert scene.means.tolist() == [[-1, -0.5, -0.25]]
            assert scene.log_scales.tolist() == [[-3.75] * 3]
            x, y, z = 128 / 127.5 - 1, -1.0, 200 / 127.5 - 1
            # Longer than one: w is zero, and the length does not matter.
            assert torch.allclose(scene.quats, torch.tensor([[0, x, -y, -z]]), atol=1e-6)
            assert scene.antialias == ("antialiased" if content is second else "classic")


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("antialias", ["classic", "antialiased", "mip"])
def test_the_filter_is_a_flag(tmp_path: Path, antialias: str, version: int) -> None:
    spz.write(dataclasses.replace(even_gaussians(2, 0), antialias=antialias), tmp_path / "scene.spz", version=version)
    assert read(tmp_path / "scene.spz").antialias == ("classic" if antialias == "classic" else "antialiased")


def test_positions_have_the_bits_that_their_size_needs(tmp_path: Path) -> None:
    scene = even_gaussians(100, 0)
    for factor in (1e-3, 1, 1e3):
        smaller = dataclasses.replace(
            scene, means=scene.means * factor, log_scales=scene.log_scales + torch.tensor(factor).log()
        )
        write(smaller, tmp_path / "scene.spz")
        copy = read(tmp_path / "scene.spz")
        size = float((scene.log_scales.topk(2).values.sum(1) / 2).exp().mean()) * factor
        assert (copy.means - matched(smaller, copy).means).abs().max() < size / spz.POSITION_STEPS


def test_far_positions_take_bits_and_farther_ones_are_moved_with_a_warning(tmp_path: Path) -> None:
    scene, path = even_gaussians(100, 0), tmp_path / "scene.spz"
    scene.means[7] = torch.tensor([9000.0, -9000.0, 9000.0])
    write(scene, path)
    assert read(path).means.abs().max() == 9000
    scene.means[7] = torch.tensor([1e7, 0, 0])
    with pytest.warns(UserWarning, match=r"1 of 100 Gaussians lie beyond \+-.*moved to its edge"):
        write(scene, path)
    copy = read(path)
    assert copy.means[:, 0].max() > 10_000
    assert (copy.means.abs().amax(1) < 4).sum() == 99


def test_a_scene_far_from_the_origin_keeps_its_shape(tmp_path: Path) -> None:
    scene, path = even_gaussians(100, 0), tmp_path / "scene.spz"
    scene.means += torch.tensor([500_000.0, -400_000, 100])
    with pytest.warns(UserWarning, match=r"far from the origin that SPZ rounds positions to 0\.0625"):
        write(scene, path)
    copy = read(path)
    assert (copy.means - matched(scene, copy).means).abs().max() <= 0.0625 / 2
    # The coarsest that is written.
    scene.means += 3e6
    with pytest.warns(UserWarning, match=r"rounds positions to 0\.5:"):
        write(scene, path)


def test_importance_is_a_number_for_each(tmp_path: Path) -> None:
    scene = even_gaussians(9, 1)
    with pytest.raises(ValueError, match=r"importance must be \[N\] with N = 9, got \[8\]"):
        write(scene, tmp_path / "scene.spz", importance=torch.ones(8))
    write(scene, tmp_path / "none.spz", importance=torch.zeros(9))
    write(scene, tmp_path / "nan.spz", importance=torch.full((9,), torch.nan))
    assert (tmp_path / "nan.spz").read_bytes() == (tmp_path / "none.spz").read_bytes()


def test_more_importance_is_less_rounding(tmp_path: Path) -> None:
    scene, importance = even_gaussians(1000, 3), torch.ones(1000)
    importance[:500] = 1e-4
    write(scene, tmp_path / "scene.spz", importance=importance)
    copy = read(tmp_path / "scene.spz")
    nearest = torch.cdist(copy.means, scene.means).argmin(1)
    errors = (copy.sh - scene.sh[nearest]).abs().flatten(1).mean(1)
    assert errors[nearest < 500].mean() > 5 * errors[nearest >= 500].mean()


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    scene = even_gaussians(5, 1)
    scene.sh[2, 3, 1] = torch.nan
    write(scene, tmp_path / "scene.spz")
    assert len(read(tmp_path / "scene.spz")) == 4


def test_only_versions_3_and_4_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="version must be 3 or 4"):
        spz.write(even_gaussians(1, 0), tmp_path / "scene.spz", version=2)


def old(version: int, count: int, degree: int = 0, fraction: int = 12, columns: bytes = b"") -> bytes:
    return gzip.compress(struct.pack("<4sIIBBBx", b"NGSP", version, count, degree, fraction, 0) + columns)


def new(count: int, columns: list[bytes], degree: int = 0, extensions: bytes = b"", table: int | None = None) -> bytes:
    frames = [zstandard.ZstdCompressor().compress(column) for column in columns]
    table = 32 + len(extensions) if table is None else table
    flags = 2 if extensions else 0
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, count, degree, 12, flags, len(frames), table) + extensions
    sizes = b"".join(struct.pack("<QQ", len(f), len(c)) for f, c in zip(frames, columns, strict=True))
    return head + sizes + b"".join(frames)


WIDTHS = (9, 1, 3, 3, 4)
ZEROS = [bytes(2 * width) for width in WIDTHS]
LYING = zstandard.ZstdCompressor().compress(bytes(10**7))
DAMAGED = {
    "empty": (b"", "no SPZ file"),
    "other kind": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no SPZ file"),
    "gzip of something": (gzip.compress(b"something else, of some length"), "does not begin with NGSP"),
    "gzip of little": (gzip.compress(b"NGSP"), "cut short"),
    "gzip's mark alone": (b"\x1f\x8b", "cut short"),
    "no gzip behind the mark": (b"\x1f\x8bxxxxxxxxxxxxxxxxxxxxxxx", "damaged gzip"),
    "version 0": (old(0, 1), "version 0; versions 1 to 4"),
    "version 5": (struct.pack("<4sIIBBBBI12x", b"NGSP", 5, 1, 0, 12, 0, 5, 32), "version 5; versions 1 to 4"),
    "degree 4 before version 4": (old(3, 1, degree=4), "damaged SPZ header"),
    "degree 200": (new(2, ZEROS, degree=200), "damaged SPZ header"),
    "25 bits": (old(3, 1, fraction=25), "damaged SPZ header"),
    "claims 4 billion": (old(3, 2**32 - 1), r"claims 4,294,967,295 Gaussians.*cannot hold"),
    "claims 4 billion raw": (gzip.decompress(old(2, 2**32 - 1)), "claims 4,294,967,295"),
    "claims one more": (old(3, 3, columns=bytes(2 * 20)), "cut short"),
    "claims far fewer": (old(3, 1, columns=bytes(1 << 22)), "goes on behind its last Gaussian"),
    "a bomb": (old(3, 0, columns=bytes(10**8)), "goes on behind its last Gaussian"),
    "a header alone": (b"NGSP" + struct.pack("<IIBBBB", 4, 0, 0, 12, 0, 0), "ends within its header"),
    "claims 4 billion in frames": (new(2**32 - 1, ZEROS), "claims 4,294,967,295 Gaussians.*cannot hold"),
    "300,000 in 1 KB": (new(300_000, [bytes(300_000 * width) for width in WIDTHS]), "claims 300,000"),
    "claims one more in frames": (new(3, ZEROS), "wrong sizes"),
    "too few columns": (new(2, ZEROS[:4]), "4 columns in a damaged table"),
    "table beyond the end": (new(2, ZEROS, table=10**9), "damaged table"),
    "table within the header": (new(2, ZEROS, table=8), "damaged table"),
    "a column of another length": (new(2, [*ZEROS[:4], bytes(7)]), "wrong sizes"),
    "goes on": (new(2, ZEROS) + b"x", "wrong sizes"),
    "axes of no kind": (
        new(2, ZEROS, extensions=struct.pack("<III", spz.COORDINATES, 4, 17)),
        "axes of an unknown kind",
    ),
    "a frame that is none": (
        struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 1, 0, 12, 0, 5, 32)
        + b"".join(struct.pack("<QQ", 4, width) for width in WIDTHS)
        + bytes(20),
        "damaged column",
    ),
    "a frame that says more": (
        struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 1, 0, 12, 0, 5, 32)
        + b"".join(struct.pack("<QQ", len(LYING), width) for width in WIDTHS)
        + LYING * 5,
        "damaged column",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    path = tmp_path / "scene.spz"
    path.write_bytes(content)
    with pytest.raises(SplatError, match=reason) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=20)
@given(st.data(), st.sampled_from([3, 4]))
def test_any_cut_is_noticed(tmp_path_factory, data, version) -> None:
    path = tmp_path_factory.mktemp("cut") / "scene.spz"
    spz.write(even_gaussians(4, 1), path, version=version)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(SplatError, match=r"scene\.spz"):
        read(path)


@settings(max_examples=20)
@given(st.data(), st.sampled_from([3, 4]))
def test_a_flipped_bit_is_an_error_or_finite_numbers(tmp_path_factory, data, version) -> None:
    path = tmp_path_factory.mktemp("flip") / "scene.spz"
    spz.write(even_gaussians(4, 1), path, version=version)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        scene = read(path)
    except SplatError as error:
        assert str(path) in str(error)
    else:
        assert all(tensor.isfinite().all() for tensor in scene.parameters().values())
