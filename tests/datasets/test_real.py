"""The larger real captures (SPLAT_DATA): what loads, and that points fall where the photos show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from splat.datasets import Scene, open_scene

pytestmark = pytest.mark.slow

#: Capture, downscale: photos, held-out ones, points, and COLMAP's own mean reprojection error [px of the full photo].
COLMAP = {
    ("fox", 1): (50, 7, 10383, 0.716),
    ("banana", 1): (14, 2, 5905, 0.296),
    ("bonsai", 2): (292, 37, 30000, 0.374),
    ("sceaux_castle", 1): (11, 2, 8596, 0.407),
    ("brighton_beach", 1): (18, 3, 3135, 0.362),
}


def observations(model: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """By photo: the point in the world and the pixel of the distorted photo where COLMAP found it."""
    pycolmap = pytest.importorskip("pycolmap")
    reconstruction = pycolmap.Reconstruction(str(model))
    out = {}
    for image in reconstruction.images.values():
        seen = [p for p in image.points2D if p.has_point3D()]
        out[image.name] = [(reconstruction.points3D[p.point3D_id].xyz, p.xy) for p in seen]
    return out


def errors(scene: Scene, model: Path, downscale: float) -> np.ndarray:
    """[O] distances, px of the loaded image, between where a view shows a point and where its photo does."""
    from splat.datasets.undistort import photo_from_straightened

    out = []
    similarity = scene.normalization.numpy()
    seen = observations(model)
    for view, photo in zip(scene.views, scene.photos, strict=True):
        if not seen[view.name]:
            continue
        world, found = (np.array(part) for part in zip(*seen[view.name], strict=True))
        viewmat, K = view.camera.viewmats[0].double().numpy(), view.camera.Ks[0].double().numpy()
        points = (world @ similarity[:3, :3].T + similarity[:3, 3]) @ viewmat[:3, :3].T + viewmat[:3, 3]
        pixels = (points @ K.T)[:, :2] / points[:, 2:]
        size = np.array([view.camera.width, view.camera.height])
        inside = ((pixels > 1) & (pixels < size - 1)).all(1) & (points[:, 2] > 0)
        # Where the straightened image takes these pixels from in the photo: the very map that the image is made by.
        where = photo_from_straightened(photo.lens)
        scale = np.array(where.shape[1::-1]) / size
        columns, rows = (pixels[inside] * scale).astype(int).T
        fraction = pixels[inside] * scale - np.stack([columns, rows], -1) - 0.5
        shown = where[rows, columns] + 0.5 + fraction
        out.append(np.linalg.norm(shown - found[inside], axis=1) / downscale)
    return np.concatenate(out)


@pytest.mark.parametrize(("name", "downscale"), COLMAP)
def test_colmap_captures(data: Path, name: str, downscale: int) -> None:
    views, held_out, points, error = COLMAP[name, downscale]
    scene = open_scene(data / name, downscale=downscale)
    assert (len(scene.views), len(scene.test)) == (views, held_out)
    assert 0.995 * points <= len(scene.points) <= points
    assert scene.points.isfinite().all()
    positions = torch.cat([view.camera.positions for view in scene.views])
    assert positions.norm(dim=1).median() == pytest.approx(1, abs=0.05)
    image, camera = scene.image(0), scene.views[0].camera
    assert image.shape == (camera.height, camera.width, 3)
    # Rounding to the nearest pixel of the map leaves a little beside the error that COLMAP measured itself.
    measured = errors(scene, data / name / "sparse" / "0", downscale)
    assert len(measured) > 1000
    assert measured.mean() < (error + 0.3) / downscale
    assert np.quantile(measured, 0.9) < 2


def test_unregistered_photos_are_named(data: Path) -> None:
    (warning,) = open_scene(data / "banana").warnings
    assert warning.startswith("2 of 16 photos not in the model")
    assert "DSC_0429.JPG, DSC_0434.JPG" in warning


def test_two_descriptions_of_the_fox_agree(data: Path) -> None:
    ours = open_scene(data / "fox")
    other = open_scene(data / "fox", format="nerfstudio")
    assert "17 photos named in transforms.json missing: images/0005.jpg" in other.warnings[0]
    a = torch.cat([view.camera.positions for view in ours.views])
    b = torch.cat([view.camera.positions for view in other.views])
    # Both stand normalised, so but for a turn about the vertical and small errors they are the same cameras.
    a, b = a - a.mean(0), b - b.mean(0)
    u, _, vt = torch.linalg.svd(b.T @ a)
    assert (a - b @ (u @ vt)).norm(dim=1).max() < 0.03


def test_lego(data: Path) -> None:
    scene = open_scene(data / "lego")
    assert (len(scene.train), len(scene.test), len(scene.points)) == (60, 20, 0)
    assert scene.background == (1, 1, 1)
    image = scene.image(scene.train[0])
    assert image.shape == (400, 400, 3)
    assert (image[0, 0] == 255).all()
    # The model stands at the origin: each camera looks at it.
    for view in scene.views:
        centre = view.camera.viewmats[0, :3, 3]
        assert (centre[:2].abs() < 0.15).all()
        assert centre[2] > 0.5
