"""COLMAP models: binary and text, against our own writer and against COLMAP's, and damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from captures import Model, Shot, cloud, ring, write_binary, write_text
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from splat.datasets import colmap
from splat.datasets.lens import MODELS, Lens
from splat.errors import SplatError

number = st.floats(-1e6, 1e6, allow_subnormal=False)
positive = st.floats(1e-3, 1e6, allow_subnormal=False)
names = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["C", "Z"]), min_size=1, max_size=20
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    cameras = {}
    for key in draw(st.lists(st.integers(1, 2**31), min_size=1, max_size=3, unique=True)):
        kind = draw(st.sampled_from([model for model in MODELS if model.bend]))
        focal = draw(st.lists(positive, min_size=kind.focals, max_size=kind.focals))
        rest = draw(st.lists(number, min_size=2 + kind.coefficients, max_size=2 + kind.coefficients))
        cameras[key] = (kind.name, draw(st.integers(1, 9000)), draw(st.integers(1, 9000)), (*focal, *rest))
    shots = []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        pose = draw(st.lists(number, min_size=6, max_size=6))
        quat = (draw(st.floats(0.1, 2)), *np.array(pose[:3]) / 1e6)
        translation = (pose[3], pose[4], pose[5])
        shots.append(Shot(name, draw(st.sampled_from(list(cameras))), quat, translation, draw(st.integers(0, 3))))
    points = np.array(draw(st.lists(st.tuples(number, number, number), max_size=4))).reshape(-1, 3)
    colors = np.random.default_rng(0).integers(0, 256, points.shape, dtype=np.uint8)
    return Model(cameras, shots, points, colors)


@pytest.mark.parametrize("write", [write_binary, write_text])
@settings(max_examples=40)
@given(model=models())
def test_everything_written_is_read(tmp_path_factory, write, model: Model) -> None:
    folder = tmp_path_factory.mktemp("model")
    write(folder, model)
    frames = colmap.read_frames(folder, Path("images"))
    points, colors = colmap.read_points(folder)
    assert np.array_equal(points, model.points)
    assert np.array_equal(colors, model.colors)
    assert [frame.name for frame in frames] == [shot.name for shot in model.shots]
    for frame, shot in zip(frames, model.shots, strict=True):
        assert frame.path == Path("images") / shot.name
        name, width, height, parameters = model.cameras[shot.camera]
        assert (frame.lens.model, frame.lens.width, frame.lens.height) == (name, width, height)
        lens = frame.lens
        assert {lens.fx, lens.fy, lens.cx, lens.cy, *lens.coefficients} == set(parameters)
        w, x, y, z = shot.quat
        np.testing.assert_allclose(
            frame.cam_from_world[:3, :3], Rotation.from_quat([x, y, z, w]).as_matrix(), atol=1e-12
        )
        assert tuple(frame.cam_from_world[:3, 3]) == tuple(shot.translation)


def test_names_with_spaces(tmp_path: Path) -> None:
    model = Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, [Shot("my photos/a b.jpg")])
    for write in (write_binary, write_text):
        write(tmp_path / write.__name__, model)
        assert colmap.read_frames(tmp_path / write.__name__, tmp_path)[0].name == "my photos/a b.jpg"


def synthetic_reconstruction():
    """Made by COLMAP: two rigs of two cameras, so that a photo's pose is not its frame's."""
    pycolmap = pytest.importorskip("pycolmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig, options.num_points3D = 2, 2, 3, 40
    return pycolmap.synthesize_dataset(options)


@pytest.mark.parametrize("write", ["write_binary", "write_text"])
def test_what_colmap_writes(tmp_path: Path, write: str) -> None:
    reconstruction = synthetic_reconstruction()
    getattr(reconstruction, write)(str(tmp_path))
    frames = {frame.name: frame for frame in colmap.read_frames(tmp_path, tmp_path)}
    assert len(frames) == reconstruction.num_reg_images() > 0
    for image in reconstruction.images.values():
        frame = frames[image.name]
        np.testing.assert_allclose(frame.cam_from_world[:3], image.cam_from_world().matrix(), atol=1e-9)
        camera = reconstruction.cameras[image.camera_id]
        assert frame.lens == Lens.from_colmap(
            MODELS[int(camera.model)], camera.width, camera.height, tuple(camera.params)
        )
    points, colors = colmap.read_points(tmp_path)
    expected = sorted((*point.xyz, *point.color) for point in reconstruction.points3D.values())
    np.testing.assert_allclose(sorted((*p, *c) for p, c in zip(points, colors, strict=True)), expected, atol=1e-9)


def test_colmap_reads_what_the_tests_write(tmp_path: Path) -> None:
    """So that the counterpart in captures.py is COLMAP's format and not merely ours."""
    pycolmap = pytest.importorskip("pycolmap")
    model = Model({3: ("OPENCV", 40, 30, (30.0, 31.0, 20.0, 15.0, 0.1, 0.0, 0.0, 0.0))}, ring(3, camera=3))
    model.points, model.colors = cloud(1)
    write_binary(tmp_path, model)
    reconstruction = pycolmap.Reconstruction(str(tmp_path))
    assert reconstruction.num_images() == 3
    assert reconstruction.cameras[3].model_name == "OPENCV"
    (point,) = reconstruction.points3D.values()
    assert np.array_equal(point.xyz, model.points[0])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a good model to damage."""
    folder = tmp_path / "sparse" / "0"
    write_binary(folder, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4), *cloud(10)))
    return folder


def fails(folder: Path, match: str) -> str:
    with pytest.raises(SplatError, match=match) as error:
        colmap.load(folder.parents[1])
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_a_count_of_a_million_millions_is_not_believed(model: Path, name: str) -> None:
    path = model / name
    path.write_bytes(struct.pack("<Q", 10**12) + path.read_bytes()[8:])
    text = fails(model, "claims 1,000,000,000,000")
    assert str(path) in text
    assert "at byte 0" in text
    assert "reconstruct the scene again" in text


def test_a_track_longer_than_the_file(model: Path) -> None:
    path = model / "points3D.bin"
    content = bytearray(path.read_bytes())
    content[8 + 43 : 8 + 51] = struct.pack("<Q", 2**60)
    path.write_bytes(bytes(content))
    assert "at byte 51 it claims 1,152,921,504,606,846,976 photos of a point" in fails(model, "damaged")


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
@given(data=st.data())
def test_any_cut_is_noticed(tmp_path_factory, name: str, data) -> None:
    folder = tmp_path_factory.mktemp("cut") / "sparse" / "0"
    write_binary(folder, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4), *cloud(10)))
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert name in fails(folder, "is damaged: (it ends at byte|at byte)")


@given(st.binary(max_size=300))
def test_noise_is_never_more_than_an_error(tmp_path_factory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("noise") / "sparse" / "0"
    write_binary(folder, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4)))
    (folder / "points3D.bin").write_bytes(noise)
    try:
        points, colors = colmap.read_points(folder)
    except SplatError as error:
        assert "points3D.bin is damaged" in str(error)
    else:  # Noise may happen to be a model, of as many points as it has bytes for.
        assert len(points) == len(colors) <= len(noise) / 51


def test_bytes_after_the_end(model: Path) -> None:
    with (model / "points3D.bin").open("ab") as file:
        file.write(b"\0" * 5)
    fails(model, "5 bytes follow the last record")


@pytest.mark.parametrize("suffix", [".bin", ".txt"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "sparse" / "0"
    model = Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4), *cloud(10))
    (write_binary if suffix == ".bin" else write_text)(folder, model)
    (folder / f"points3D{suffix}").unlink()
    fails(folder, f"points3D{suffix} is missing")
    (folder / f"images{suffix}").unlink()
    fails(folder, "holds no COLMAP model")


@pytest.mark.parametrize(
    ("camera", "reason"),
    [
        (("PINHOLE", 4, 3, (np.nan, 2.0, 2.0, 1.5)), "not numbers"),
        (("PINHOLE", 4, 3, (2.0, -2.0, 2.0, 1.5)), "focal length of -2"),
        (("PINHOLE", 0, 3, (2.0, 2.0, 2.0, 1.5)), "no size"),
    ],
)
def test_impossible_cameras(tmp_path: Path, camera, reason: str) -> None:
    for write in (write_binary, write_text):
        folder = tmp_path / write.__name__ / "sparse" / "0"
        write(folder, Model({7: camera}, ring(4, camera=7)))
        assert "camera 7" in fails(folder, reason)


def test_unknown_camera_models(tmp_path: Path) -> None:
    folder = tmp_path / "sparse" / "0"
    write_binary(folder, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4)))
    content = bytearray((folder / "cameras.bin").read_bytes())
    content[12:16] = struct.pack("<i", 99)
    (folder / "cameras.bin").write_bytes(bytes(content))
    fails(folder, "unknown model 99; known: SIMPLE_PINHOLE, PINHOLE")


def test_photos_of_a_camera_that_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "sparse" / "0"
    write_binary(folder, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4, camera=2)))
    fails(folder, "photo 000.png has camera 2")


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("cameras.txt", "1 PINHOLE 4 3 2 2 2", "3 parameters instead of 4"),
        ("cameras.txt", "1 PINHOLE four 3 2 2 2 1", "line 1"),
        ("images.txt", "1 1 0 0 0 0 0 4 1", "line 1"),
        ("points3D.txt", "1 0 0 zero 1 2 3 0.5", "line 1"),
        ("points3D.txt", "1 0 0 0 1 2 300 0.5", "line 1"),
    ],
)
def test_damaged_text(tmp_path: Path, name: str, line: str, reason: str) -> None:
    folder = tmp_path / "sparse" / "0"
    write_text(folder, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(4), *cloud(3)))
    (folder / name).write_text(line + "\n")
    assert str(folder / name) in fails(folder, reason)


def test_the_largest_of_several_models(tmp_path: Path) -> None:
    camera = {1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}
    for number, count in enumerate((3, 5, 4)):
        write_binary(tmp_path / "sparse" / str(number), Model(camera, ring(count)))
    capture = colmap.load(tmp_path)
    assert len(capture.frames) == 5
    assert "3 models that are not joined; the largest, 1, has 5" in capture.warnings[0]


@pytest.mark.parametrize("place", ["sparse/0", "sparse", "."])
def test_where_models_are_found(tmp_path: Path, place: str) -> None:
    write_text(tmp_path / place, Model({1: ("PINHOLE", 4, 3, (2.0, 2.0, 2.0, 1.5))}, ring(3)))
    assert len(colmap.load(tmp_path).frames) == 3


def test_a_panorama_becomes_a_cube(tmp_path: Path) -> None:
    write_binary(
        tmp_path / "sparse" / "0", Model({1: ("EQUIRECTANGULAR", 64, 32, (64.0, 32.0))}, ring(3, suffix=".jpg"))
    )
    frames = colmap.load(tmp_path).frames
    assert len(frames) == 18
    assert {frame.name for frame in frames} >= {"000_front.jpg", "002_up.jpg"}
    assert len({frame.path for frame in frames}) == 3
    forwards = np.array([frame.cam_from_world[2, :3] for frame in frames[:6]])
    np.testing.assert_allclose(abs(forwards).sum(0), [2, 2, 2], atol=1e-12)
