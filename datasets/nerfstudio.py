"""transforms.json, as nerfstudio and instant-ngp write it.

Poses are world-from-camera in OpenGL axes (y up, z backward). Intrinsics stand at the top or with each frame.
Source: https://docs.nerf.studio/quickstart/data_conventions.html
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.datasets.frames import Capture, Frame, counted, listed
from splat.datasets.images import read_header
from splat.datasets.lens import Lens
from splat.errors import SplatError

#: nerfstudio's name of a camera model -> COLMAP's, and which keys its coefficients have there.
MODELS = {
    "OPENCV": ("FULL_OPENCV", ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")),
    "OPENCV_FISHEYE": ("OPENCV_FISHEYE", ("k1", "k2", "k3", "k4")),
}
MODELS |= {name: MODELS["OPENCV"] for name in ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV")}
MODELS |= {name: MODELS["OPENCV_FISHEYE"] for name in ("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "FISHEYE")}


def load(path: Path) -> Capture:
    """Reads path/transforms.json.

    Raises:
        SplatError: the file is damaged or lacks what a capture needs.
    """
    from splat.formats.ply import read_point_cloud

    file = path / "transforms.json"
    content = read_json(file)
    capture = Capture(path / "images")
    capture.frames = read_frames(file, content, capture.warnings)
    cloud = content.get("ply_file_path")
    if isinstance(cloud, str) and (path / cloud).is_file():
        points, capture.colors = read_point_cloud(path / cloud)
        capture.points = points.astype(np.float64)
    return capture


def read_json(file: Path) -> dict[str, Any]:
    """A transforms file, as far as it is the same for every dialect."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise SplatError(f"{file} does not exist; check the path") from None
    except (ValueError, OSError) as error:
        raise SplatError(f"{file} is damaged: {error}; write it again with the tool it came from") from error
    if not isinstance(content, dict) or not isinstance(content.get("frames"), list):
        raise SplatError(f"{file} has no list of 'frames', so it is no capture; check what it is")
    return content


def read_frames(file: Path, content: dict[str, Any], warnings: list[str], is_test: bool | None = None) -> list[Frame]:
    """The frames of a transforms file; those without photo or pose are left out, with a warning."""
    folder, frames = file.parent, []
    missing: list[str] = []
    unposed: list[str] = []
    for number, entry in enumerate(content["frames"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
            raise SplatError(f"{file}: frame {number} has no 'file_path'; write the file again")
        photo = _find(folder / entry["file_path"])
        if photo is None:
            missing.append(entry["file_path"])
            continue
        pose = _cam_from_world(entry.get("transform_matrix"))
        if pose is None:
            unposed.append(entry["file_path"])
            continue
        name = photo.relative_to(folder).as_posix() if photo.is_relative_to(folder) else photo.as_posix()
        mask = folder / entry["mask_path"] if isinstance(entry.get("mask_path"), str) else None
        try:
            lens = _lens({**content, **entry}, photo)
        except (TypeError, ValueError) as error:
            raise SplatError(f"{file}: the intrinsics of frame {number} ({name}): {error}; correct them") from None
        frames.append(Frame(name, photo, lens, pose, mask if mask and mask.is_file() else None, is_test))
    if missing:
        warnings.append(f"{counted(len(missing), 'photo')} named in {file.name} missing: {listed(missing)}.")
    if unposed:
        warnings.append(f"{counted(len(unposed), 'frame')} of {file.name} without a valid pose: {listed(unposed)}.")
    return frames


def _find(path: Path) -> Path | None:
    """Blender's files leave the suffix out."""
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in (".png", ".jpg", ".jpeg", ".webp"))):
        if candidate.is_file():
            return Path(*candidate.parts)
    return None


def _cam_from_world(matrix: Any) -> NDArray[np.float64] | None:
    """[4, 4] rigid, OpenCV axes, from world-from-camera in OpenGL axes; None where it is no pose."""
    try:
        world_from_cam = np.array(matrix, np.float64)
    except (TypeError, ValueError):
        return None
    if world_from_cam.shape not in ((3, 4), (4, 4)) or not np.isfinite(world_from_cam).all():
        return None
    rotation = world_from_cam[:3, :3] * np.array([1, -1, -1])
    scale = np.cbrt(np.linalg.det(rotation))
    if not scale > 0 or not np.allclose(rotation.T @ rotation / scale**2, np.eye(3), atol=1e-3):
        return None
    # Printed with few digits it is not quite a rotation: take the nearest one.
    u, _, vt = np.linalg.svd(rotation)
    out = np.eye(4)
    out[:3, :3] = (u @ vt).T
    out[:3, 3] = -out[:3, :3] @ world_from_cam[:3, 3]
    return out


def _lens(values: dict[str, Any], photo: Path) -> Lens:
    """The lens of one frame.

    Raises:
        ValueError: a number is missing or impossible.
    """
    model = str(values.get("camera_model", "OPENCV_FISHEYE" if values.get("is_fisheye") else "OPENCV"))
    if model not in MODELS:
        raise ValueError(f"the camera model {model} is not known; known: {', '.join(MODELS)}")
    if "w" in values and "h" in values:
        width, height = int(values["w"]), int(values["h"])
    else:
        try:
            width, height, _ = read_header(photo)
        except SplatError:
            width = height = 1  # Whoever looks at the photos next leaves this one out, and says so.
    fx, fy = (_focal(values, axis, size) for axis, size in (("x", width), ("y", height)))
    if not (fx or fy):
        raise ValueError("neither fl_x nor camera_angle_x is given")
    fx, fy = fx or fy, fy or fx
    name, keys = MODELS[model]
    coefficients = tuple(float(values.get(key, 0.0)) for key in keys)
    cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
    if not (width > 0 and height > 0 and fx > 0 and fy > 0 and np.isfinite([fx, fy, cx, cy, *coefficients]).all()):
        raise ValueError("a size or focal length is not positive, or a number is not finite")
    return Lens(name, width, height, fx, fy, cx, cy, coefficients)


def _focal(values: dict[str, Any], axis: str, size: int) -> float:
    """Pixels, from itself or from the angle of view; 0 where neither is given."""
    if f"fl_{axis}" in values:
        return float(values[f"fl_{axis}"])
    if f"camera_angle_{axis}" in values:
        return 0.5 * size / math.tan(0.5 * float(values[f"camera_angle_{axis}"]))
    return 0.0
