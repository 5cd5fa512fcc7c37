"""Scenes: what is kept, what is left out and said, what is held out, and where everything stands."""

from __future__ import annotations

import json
import time
from pathlib import Path

import captures
import numpy as np
import pytest
import torch
from captures import Model, Shot, cloud, gradient, ring, write_binary, write_capture, write_photos, write_transforms
from PIL import Image
from scipy.spatial.transform import Rotation

from splat.datasets import Scene, find_format, open_scene
from splat.datasets.normalize import extent, moved_poses, plausible, similarity_from_cameras
from splat.errors import SplatError
from splat.formats import write
from splat.gaussians import Gaussians


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Nine photos from a circle, 32 x 24 px."""
    write_capture(tmp_path)
    return tmp_path


def test_a_plain_capture(capture: Path) -> None:
    scene = open_scene(capture)
    assert [view.name for view in scene.views] == [f"{i:03d}.png" for i in range(9)]
    assert (scene.test, scene.train) == ([0, 8], list(range(1, 8)))
    assert scene.points.shape == scene.point_colors.shape == (50, 3)
    assert (scene.points.dtype, scene.point_colors.dtype) == (torch.float32, torch.uint8)
    assert scene.warnings == []
    assert (scene.source, scene.background) == (capture, None)
    camera = scene.views[3].camera
    assert (len(camera), camera.width, camera.height, camera.viewmats.dtype) == (1, 32, 24, torch.float32)
    assert torch.equal(scene.image(3), torch.from_numpy(gradient(32, 24, seed=3)))
    assert scene.mask(3) is None


def test_opening_decodes_nothing(capture: Path) -> None:
    scene = open_scene(capture)
    assert scene.cache.bytes == 0
    scene.image(0)
    assert scene.cache.bytes == 32 * 24 * 3


def projections(scene: Scene, world: np.ndarray) -> np.ndarray:
    """[V, P, 2] pixels of world points that went through the scene's own normalisation."""
    similarity = scene.normalization.numpy()
    points = torch.from_numpy(world @ similarity[:3, :3].T + similarity[:3, 3])
    out = []
    for view in scene.views:
        viewmat, K = view.camera.viewmats[0].double(), view.camera.Ks[0].double()
        seen = (points @ viewmat[:3, :3].T + viewmat[:3, 3]) @ K.T
        out.append((seen[:, :2] / seen[:, 2:]).numpy())
    return np.array(out)


def test_normalisation_changes_no_pixel_and_can_be_undone(capture: Path) -> None:
    world, _ = cloud(50)
    normal, plain = open_scene(capture), open_scene(capture, normalize=False)
    assert torch.equal(plain.normalization, torch.eye(4, dtype=torch.float64))
    np.testing.assert_allclose(projections(normal, world), projections(plain, world), atol=1e-3)

    back = torch.linalg.inv(normal.normalization)
    gaussians = Gaussians(
        normal.points, torch.ones(50, 4), torch.zeros(50, 3), torch.zeros(50), torch.zeros(50, 1, 3)
    ).transform(back)
    torch.testing.assert_close(gaussians.means, plain.points, atol=1e-4, rtol=1e-4)
    # The cameras stood at a distance of 4, so the world shrank to a quarter; on the way back Gaussians grow by as much.
    torch.testing.assert_close(gaussians.scales, torch.full((50, 3), 4.0), atol=1e-3, rtol=1e-3)


def test_a_normalised_ring_stands_on_the_unit_circle_with_up_at_minus_y(capture: Path) -> None:
    scene = open_scene(capture)
    positions = torch.cat([view.camera.positions for view in scene.views])
    torch.testing.assert_close(positions.norm(dim=1), torch.ones(9), atol=1e-4, rtol=0)
    torch.testing.assert_close(positions[:, 1], torch.zeros(9), atol=1e-4, rtol=0)
    train = positions[scene.train].double().numpy()
    assert scene.extent == pytest.approx(extent(train))
    assert 1.0 < scene.extent < 1.3


def rotated(poses: np.ndarray, rotation: np.ndarray, scale: float, offset: np.ndarray) -> np.ndarray:
    similarity = np.eye(4)
    similarity[:3, :3], similarity[:3, 3] = scale * rotation, offset
    return moved_poses(similarity, poses)


def test_normalisation_does_not_depend_on_where_the_world_stood() -> None:
    poses = np.array([np.linalg.inv(captures.opengl_pose(shot)) for shot in ring(12)], np.float64)
    poses[:, 1:3] *= -1  # From OpenGL's camera axes to OpenCV's.
    points, _ = cloud(30)
    expected = moved_poses(similarity_from_cameras(poses, points), poses)
    rotation = Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix()
    offset = np.array([100.0, -20.0, 3.0])
    moved = rotated(poses, rotation, 7.0, offset)
    points = 7.0 * points @ rotation.T + offset
    similarity = similarity_from_cameras(moved, points)
    got = moved_poses(similarity, moved)
    # The same but for a turn about the vertical, which nothing determines.
    turn = got[0, :3, :3].T @ expected[0, :3, :3]
    np.testing.assert_allclose(turn[1], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(got[:, :3, :3] @ turn, expected[:, :3, :3], atol=1e-6)
    np.testing.assert_allclose(got[:, :3, 3], expected[:, :3, 3], atol=1e-6)


def test_far_points_and_those_that_are_no_numbers_go() -> None:
    points, _ = cloud(1000)
    points[:3] = [[1e6, 0, 0], [0, np.nan, 0], [np.inf, 0, 0]]
    points[3] = [8, 0, 0]  # Background, farther than the rest but not absurd.
    assert np.flatnonzero(~plausible(points)).tolist() == [0, 1, 2]
    assert plausible(np.zeros((0, 3))).shape == (0,)
    assert plausible(np.zeros((4, 3))).all()


def test_points_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    model = write_capture(tmp_path)
    model.points[4] = np.nan
    write_binary(tmp_path / "sparse" / "0", model)
    scene = open_scene(tmp_path)
    assert scene.points.shape == (49, 3)
    assert scene.warnings == ["1 point of the model not finite and left out."]


def test_a_missing_an_unreadable_and_an_unregistered_photo(capture: Path) -> None:
    images = capture / "images"
    (images / "001.png").unlink()
    (images / "002.png").write_bytes((images / "002.png").read_bytes()[:20])
    write_photos(images, ["zz.png", "deep/one.jpg"])
    scene = open_scene(capture)
    assert [view.name for view in scene.views] == ["000.png", *(f"{i:03d}.png" for i in range(3, 9))]
    assert scene.warnings == [
        "1 photo missing: 001.png.",
        "1 photo unreadable: 002.png.",
        "2 of 10 photos not in the model, since COLMAP could not place them: deep/one.jpg, zz.png.",
    ]
    assert scene.test == [0]


def test_many_missing_photos_are_named_once(tmp_path: Path) -> None:
    write_capture(tmp_path, count=20)
    for i in range(8):
        (tmp_path / "images" / f"{i:03d}.png").unlink()
    assert open_scene(tmp_path).warnings == [
        "8 photos missing: 000.png, 001.png, 002.png, 003.png, 004.png and 3 more."
    ]


def test_poses_and_photos_that_do_not_fit(tmp_path: Path) -> None:
    model = write_capture(tmp_path)
    model.shots[2].quat = (0.0, 0.0, 0.0, 0.0)
    model.shots[3].translation = (0.0, float("nan"), 0.0)
    write_binary(tmp_path / "sparse" / "0", model)
    write_photos(tmp_path / "images", ["004.png"], width=24, height=32)
    scene = open_scene(tmp_path)
    assert scene.warnings == [
        "2 photos have a pose that is no number: 002.png, 003.png.",
        "1 photo of another shape than their camera: 004.png.",
    ]


@pytest.mark.parametrize("left", [0, 2])
def test_fewer_than_three_usable_photos_stop(tmp_path: Path, left: int) -> None:
    write_capture(tmp_path, count=5)
    for i in range(left, 5):
        (tmp_path / "images" / f"{i:03d}.png").unlink()
    with pytest.raises(SplatError, match=rf"has {left} usable views?, .* at least 3\. {5 - left} photos missing: "):
        open_scene(tmp_path)


def test_three_are_enough(tmp_path: Path) -> None:
    write_capture(tmp_path, count=3)
    scene = open_scene(tmp_path)
    assert (scene.train, scene.test) == ([1, 2], [0])


def test_photos_of_unlike_sizes_and_orientations(tmp_path: Path) -> None:
    cameras = {
        1: ("PINHOLE", 32, 24, (30.0, 30.0, 16.0, 12.0)),
        2: ("SIMPLE_RADIAL", 24, 32, (30.0, 12.0, 16.0, 0.1)),
        3: ("OPENCV_FISHEYE", 48, 48, (20.0, 20.0, 24.0, 24.0, 0.01, 0.0, 0.0, 0.0)),
    }
    shots = [Shot(shot.name, 1 + i % 3, shot.quat) for i, shot in enumerate(ring(9))]
    write_binary(tmp_path / "sparse" / "0", Model(cameras, shots, *cloud(20)))
    for shot in shots:
        write_photos(tmp_path / "images", [shot.name], *cameras[shot.camera][1:3])
    scene = open_scene(tmp_path, downscale=1.5)
    sizes = {(view.camera.width, view.camera.height) for view in scene.views}
    assert len(sizes) == 3
    for i, view in enumerate(scene.views):
        assert scene.image(i).shape == (view.camera.height, view.camera.width, 3)


def test_smaller_copies_are_read_where_they_are(capture: Path) -> None:
    write_photos(capture / "images_4", [f"{i:03d}.png" for i in range(5)], width=8, height=6)
    scene = open_scene(capture, downscale=4)
    assert {(view.camera.width, view.camera.height) for view in scene.views} == {(8, 6)}
    # A copy is taken as it is, the others are averaged down.
    assert torch.equal(scene.image(1), torch.from_numpy(gradient(8, 6, seed=1)))
    assert not torch.equal(scene.image(6), torch.from_numpy(gradient(8, 6, seed=6)))
    torch.testing.assert_close(scene.views[1].camera.Ks, scene.views[6].camera.Ks)


def test_held_out_views(capture: Path) -> None:
    assert open_scene(capture, test_every=4).test == [0, 4, 8]
    assert open_scene(capture, test_every=0).test == []
    assert open_scene(capture, test_names=["002.png", "007"]).test == [2, 7]
    with pytest.raises(SplatError, match="no view is called nonsense"):
        open_scene(capture, test_names=["002.png", "nonsense"])
    with pytest.raises(SplatError, match="none is left to train on"):
        open_scene(capture, test_every=1)


def test_masks_of_both_spellings(capture: Path) -> None:
    for name, value in {"000.png.png": 0, "001.png": 255}.items():
        mask = np.full((24, 32), value, np.uint8)
        mask[:, :8] = 255 - value
        (capture / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(capture / "masks" / name)
    scene = open_scene(capture)
    expected = torch.zeros(24, 32, dtype=torch.uint8)
    expected[:, :8] = 1
    masks = [scene.mask(i) for i in range(3)]
    assert masks[0] is not None
    assert torch.equal(masks[0], expected)
    assert masks[1] is not None
    assert torch.equal(masks[1], 1 - expected)
    assert masks[2] is None
    (capture / "masks").rename(capture / "elsewhere")
    assert open_scene(capture).mask(0) is None
    mask = open_scene(capture, masks=capture / "elsewhere").mask(0)
    assert mask is not None
    assert torch.equal(mask, expected)
    with pytest.raises(SplatError, match="is no folder"):
        open_scene(capture, masks=capture / "nowhere")


def write_masks(capture: Path, size: tuple[int, int], **white: bool) -> None:
    (capture / "masks").mkdir()
    for name, is_white in white.items():
        pixels = np.full(size, 255 * is_white, np.uint8)
        Image.fromarray(pixels).save(capture / "masks" / f"{name.removeprefix('photo_')}.png")


def test_a_mask_may_have_another_size(capture: Path) -> None:
    write_masks(capture, (240, 320), photo_000=True)
    mask = open_scene(capture).mask(0)
    assert mask is not None and mask.shape == (24, 32) and mask.all()


def test_a_mask_of_another_shape_is_named(capture: Path) -> None:
    write_masks(capture, (24, 24), photo_001=True)
    with pytest.raises(SplatError, match=r"001\.png is a mask of 24 x 24 pixels for a photo of 32 x 24"):
        open_scene(capture)


def test_photos_masked_as_a_whole_are_left_out_and_named(capture: Path) -> None:
    names = [view.name for view in open_scene(capture).views]
    write_masks(capture, (12, 16), photo_000=False, photo_001=True, photo_002=False)
    scene = open_scene(capture)
    assert [view.name for view in scene.views] == [names[1], *names[3:]]
    assert "2 photos masked as a whole: 000.png, 002.png." in scene.warnings


def test_a_capture_masked_as_a_whole_is_an_error(capture: Path) -> None:
    names = [f"photo_{Path(view.name).stem}" for view in open_scene(capture).views]
    write_masks(capture, (24, 32), **dict.fromkeys(names, False))
    with pytest.raises(SplatError, match=rf"0 usable views.*{len(names)} photos masked as a whole"):
        open_scene(capture)


def test_damage_behind_a_good_header(tmp_path: Path) -> None:
    """A damaged photo is left out; one that is damaged only after the capture was opened is told when it is met."""
    write_capture(tmp_path, width=200, height=150)
    whole = open_scene(tmp_path)
    path = tmp_path / "images" / "003.png"
    content = path.read_bytes()
    path.write_bytes(content[:80] + bytes(60) + content[140:])
    scene = open_scene(tmp_path)
    assert [view.name for view in scene.views] == [view.name for view in whole.views if view.name != "003.png"]
    assert scene.warnings == ["1 photo damaged: 003.png."]
    for _ in range(2):
        with pytest.raises(SplatError, match=r"003\.png is damaged"):
            whole.image(3)


def test_formats_and_their_order(capture: Path) -> None:
    shots = ring(5)
    write_transforms(capture / "transforms.json", shots, fl_x=30, w=32, h=24)
    assert find_format(capture) == "colmap"
    assert len(open_scene(capture).views) == 9
    assert len(open_scene(capture, format="nerfstudio").views) == 5
    with pytest.raises(SplatError, match=r"transforms_train\.json does not exist"):
        open_scene(capture, format="blender")
    with pytest.raises(ValueError, match="format must be one of auto, colmap"):
        open_scene(capture, format="polycam")


def test_the_same_capture_in_two_formats_is_the_same_scene(capture: Path) -> None:
    write_transforms(capture / "transforms.json", ring(9), fl_x=30, fl_y=30, cx=16, cy=12, w=32, h=24)
    world, _ = cloud(20)
    a, b = open_scene(capture), open_scene(capture, format="nerfstudio")
    np.testing.assert_allclose(projections(a, world), projections(b, world), atol=1e-3)
    assert len(b.points) == 0


def test_folders_that_are_no_capture(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match="does not exist"):
        open_scene(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(SplatError, match="is a file, not a folder"):
        open_scene(tmp_path / "file")
    write_photos(tmp_path, ["a.jpg"])
    assert find_format(tmp_path) is None
    with pytest.raises(SplatError, match=r"holds no cameras.*splat capture"):
        open_scene(tmp_path)


def test_arguments_out_of_range(capture: Path) -> None:
    with pytest.raises(ValueError, match="downscale must be >= 1, got 0.5"):
        open_scene(capture, downscale=0.5)
    with pytest.raises(ValueError, match="test_every"):
        open_scene(capture, test_every=-1)


def test_nerfstudio_dialects(tmp_path: Path) -> None:
    shots = ring(6)
    write_photos(tmp_path / "images", [shot.name for shot in shots])
    write_transforms(tmp_path / "transforms.json", shots, camera_angle_x=0.9, k1=0.1, ply_file_path="points.ply")
    points, _ = cloud(7)
    from plyfile import PlyData, PlyElement

    records = np.array([tuple(point) for point in points], [("x", "f4"), ("y", "f4"), ("z", "f4")])
    PlyData([PlyElement.describe(records, "vertex")]).write(str(tmp_path / "points.ply"))
    content = json.loads((tmp_path / "transforms.json").read_text())
    # One photo has a lens of its own, one a mask, one no pose, one no photo, and one leaves the suffix out.
    content["frames"][0] |= {"fl_x": 50.0, "fl_y": 50.0, "k1": 0.0}
    content["frames"][1]["mask_path"] = "m.png"
    content["frames"][2]["transform_matrix"] = [[0.0] * 4] * 4
    content["frames"][3]["file_path"] = "images/none.png"
    content["frames"][4]["file_path"] = "./images/004"
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    mask = np.zeros((24, 32), np.uint8)
    mask[:, 16:] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")

    scene = open_scene(tmp_path)
    assert [view.name for view in scene.views] == [f"images/00{i}.png" for i in (0, 1, 4, 5)]
    assert scene.views[0].camera.Ks[0, 0, 0] == 50
    assert scene.views[1].camera.Ks[0, 0, 0].item() == pytest.approx(16 / np.tan(0.45))
    mask = scene.mask(1)
    assert mask is not None
    assert mask[:, 18:].all() and not mask[:, :14].any()
    assert scene.points.shape == (7, 3)
    assert scene.warnings == [
        "1 photo named in transforms.json missing: images/none.png.",
        "1 frame of transforms.json without a valid pose: images/002.png.",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is damaged"),
        ("[]", "has no list of 'frames'"),
        ('{"frames": [{}]}', "frame 0 has no 'file_path'"),
        ('{"frames": [{"file_path": "images/000.png", "transform_matrix": POSE}]}', "neither fl_x nor camera_angle_x"),
        ('{"fl_x": -1, "frames": [{"file_path": "images/000.png", "transform_matrix": POSE}]}', "not positive"),
        ('{"fl_x": "x", "frames": [{"file_path": "images/000.png", "transform_matrix": POSE}]}', "could not convert"),
        (
            '{"fl_x": 9, "camera_model": "X", "frames": [{"file_path": "images/000.png", "transform_matrix": POSE}]}',
            "X",
        ),
    ],
)
def test_damaged_transforms(tmp_path: Path, text: str, reason: str) -> None:
    write_photos(tmp_path / "images", ["000.png"])
    (tmp_path / "transforms.json").write_text(text.replace("POSE", json.dumps(captures.opengl_pose(ring(3)[0]))))
    with pytest.raises(SplatError, match=reason) as error:
        open_scene(tmp_path)
    assert "transforms.json" in str(error.value)


def write_blender(folder: Path, splits: dict[str, int]) -> None:
    for split, count in splits.items():
        frames = []
        for shot in ring(count, suffix=""):
            pixels = gradient(20, 20, 4)
            pixels[:, 10:, 3] = 0
            (folder / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / split / f"{shot.name}.png")
            frames.append({"file_path": f"./{split}/{shot.name}", "transform_matrix": captures.opengl_pose(shot)})
        content = {"camera_angle_x": 0.7, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(content))


def test_blender_has_its_own_split_and_a_white_background(tmp_path: Path) -> None:
    write_blender(tmp_path, {"train": 5, "test": 3, "val": 4})
    scene = open_scene(tmp_path)
    assert len(scene.views) == 8
    assert {scene.views[i].name.split("/")[0] for i in scene.test} == {"test"}
    assert {scene.views[i].name.split("/")[0] for i in scene.train} == {"train"}
    assert scene.background == (1, 1, 1)
    assert (scene.image(0)[:, 10:] == 255).all()
    assert scene.mask(0) is None
    black = open_scene(tmp_path, background=(0.0, 0.0, 0.0))
    assert not black.image(0)[:, 10:].any()
    assert black.background == (0, 0, 0)


def test_blender_without_test_views_takes_those_for_validation_or_the_usual_split(tmp_path: Path) -> None:
    write_blender(tmp_path / "a", {"train": 5, "val": 3})
    scene = open_scene(tmp_path / "a")
    assert {scene.views[i].name.split("/")[0] for i in scene.test} == {"val"}
    write_blender(tmp_path / "b", {"train": 9})
    assert open_scene(tmp_path / "b").test == [0, 8]


def test_transparency_in_other_formats_is_a_mask(capture: Path) -> None:
    pixels = gradient(32, 24, 4)
    pixels[:, 10:, 3] = 0
    Image.fromarray(pixels).save(capture / "images" / "004.png")
    mask = open_scene(capture).mask(4)
    assert mask is not None
    assert mask[:, :10].all()
    assert not mask[:, 10:].any()
    assert open_scene(capture, background=(1.0, 1.0, 1.0)).mask(4) is None


def test_the_bundled_capture(sample: Path) -> None:
    began = time.perf_counter()
    scene = open_scene(sample)
    assert time.perf_counter() - began < 5
    assert len(scene.views) >= 10
    assert len(scene.points) > 1000
    image, camera = scene.image(0), scene.views[0].camera
    assert image.shape == (camera.height, camera.width, 3)


def test_a_written_scene_stands_in_the_capture_s_world(capture: Path, tmp_path: Path) -> None:
    scene = open_scene(capture)
    count = len(scene.points)
    gaussians = Gaussians(
        scene.points, torch.ones(count, 4), torch.zeros(count, 3), torch.zeros(count), torch.zeros(count, 4, 3)
    )
    write(gaussians.transform(torch.linalg.inv(scene.normalization)), tmp_path / "scene.ply")
    from splat.formats import read

    np.testing.assert_allclose(read(tmp_path / "scene.ply").means, cloud(50)[0], atol=1e-4)
