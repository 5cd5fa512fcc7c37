"""Small made-up captures in every format, written by this file's own code, so that the readers have a counterpart."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splat.datasets.lens import BY_NAME, MODELS

Array = NDArray[np.float64]


@dataclass
class Shot:
    """One photo of a made-up model."""

    name: str
    camera: int = 1
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    translation: tuple[float, float, float] = (0.0, 0.0, 4.0)
    observations: int = 0


@dataclass
class Model:
    """A made-up COLMAP model: cameras by number as (model, width, height, parameters)."""

    cameras: dict[int, tuple[str, int, int, tuple[float, ...]]]
    shots: list[Shot]
    points: Array = field(default_factory=lambda: np.zeros((0, 3)))
    colors: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 3), np.uint8))


def ring(count: int, camera: int = 1, suffix: str = ".png") -> list[Shot]:
    """Shots from a circle of radius 4 about the origin, level, looking inwards; +y is down."""
    shots = []
    for i in range(count):
        half = np.pi * i / count
        shots.append(Shot(f"{i:03d}{suffix}", camera, (float(np.cos(half)), 0.0, float(np.sin(half)), 0.0)))
    return shots


def cloud(count: int, seed: int = 0) -> tuple[Array, NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 3)), random.integers(0, 256, (count, 3), dtype=np.uint8)


def write_binary(folder: Path, model: Model) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    out = struct.pack("<Q", len(model.cameras))
    for number, (name, width, height, parameters) in model.cameras.items():
        out += struct.pack("<IiQQ", number, MODELS.index(BY_NAME[name]), width, height)
        out += struct.pack(f"<{len(parameters)}d", *parameters)
    (folder / "cameras.bin").write_bytes(out)
    out = struct.pack("<Q", len(model.shots))
    for i, shot in enumerate(model.shots):
        out += struct.pack("<I7dI", i + 1, *shot.quat, *shot.translation, shot.camera) + shot.name.encode() + b"\0"
        out += struct.pack("<Q", shot.observations) + struct.pack("<ddq", 1.5, 2.5, -1) * shot.observations
    (folder / "images.bin").write_bytes(out)
    out = struct.pack("<Q", len(model.points))
    for i, (point, color) in enumerate(zip(model.points, model.colors, strict=True)):
        track = i % 3
        out += struct.pack("<Q3d3BdQ", i + 1, *point, *color, 0.5, track) + struct.pack("<II", 1, 0) * track
    (folder / "points3D.bin").write_bytes(out)


def write_text(folder: Path, model: Model) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Camera list"]
    for number, (name, width, height, parameters) in model.cameras.items():
        lines.append(" ".join([str(number), name, str(width), str(height), *map(repr, map(float, parameters))]))
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n")
    lines = ["# Image list with two lines of data per image"]
    for i, shot in enumerate(model.shots):
        pose = " ".join(repr(float(value)) for value in (*shot.quat, *shot.translation))
        lines += [f"{i + 1} {pose} {shot.camera} {shot.name}", " ".join(["1.5 2.5 -1"] * shot.observations)]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    lines = ["# 3D point list"]
    for i, (point, color) in enumerate(zip(model.points, model.colors, strict=True)):
        xyz, rgb = " ".join(map(repr, map(float, point))), " ".join(map(str, color))
        lines.append(f"{i + 1} {xyz} {rgb} 0.5" + " 1 0" * (i % 3))
    (folder / "points3D.txt").write_text("\n".join(lines) + "\n")


def gradient(width: int, height: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture in which every place differs from its neighbours."""
    y, x = np.mgrid[0:height, 0:width]
    layers = [x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), (x + y + 40 * seed) % 256]
    return np.stack([*layers, np.full_like(x, 255)][:channels], -1).astype(np.uint8)


def write_photos(folder: Path, names: list[str], width: int = 32, height: int = 24) -> None:
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gradient(width, height, seed=i)).save(path)


def write_capture(folder: Path, count: int = 9, points: int = 50, width: int = 32, height: int = 24) -> Model:
    """A whole COLMAP capture of `count` photos with one pinhole camera."""
    model = Model({1: ("PINHOLE", width, height, (30.0, 30.0, width / 2, height / 2))}, ring(count), *cloud(points))
    write_binary(folder / "sparse" / "0", model)
    write_photos(folder / "images", [shot.name for shot in model.shots], width, height)
    return model


def opengl_pose(shot: Shot) -> list[list[float]]:
    """A shot's world-from-camera matrix in OpenGL axes, as transforms.json has it."""
    from scipy.spatial.transform import Rotation

    w, x, y, z = shot.quat
    rotation = Rotation.from_quat([x, y, z, w]).as_matrix()
    out = np.eye(4)
    out[:3, :3] = rotation.T * np.array([1, -1, -1])
    out[:3, 3] = -rotation.T @ np.array(shot.translation)
    return out.tolist()


def write_transforms(path: Path, shots: list[Shot], **intrinsics: object) -> None:
    frames = [{"file_path": f"images/{shot.name}", "transform_matrix": opengl_pose(shot)} for shot in shots]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**intrinsics, "frames": frames}))
