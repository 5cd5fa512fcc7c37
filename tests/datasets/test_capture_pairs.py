"""Which photos are compared with which."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from splat.datasets.sfm.exif import Exif
from splat.datasets.sfm.pairs import (
    EXHAUSTIVE_LIMIT,
    GPS_NEIGHBOURS,
    SEQUENCE_STEPS,
    nearest_pairs,
    select_pairs,
    sequence_pairs,
    shooting_order,
    similar_pairs,
)
from splat.datasets.sfm.photos import Photo


def photos(count: int, **exif: list[object]) -> list[Photo]:
    """Photos named p0.png, p1.png, ... with the given EXIF fields."""
    fields = [Exif(**{key: values[i] for key, values in exif.items()}) for i in range(count)]  # type: ignore[arg-type]
    return [Photo(f"p{i}.png", f"p{i}.png", 64, 64, fields[i], 1.0, -2.0, 0.0) for i in range(count)]


def write(folder: Path, count: int) -> Path:
    """Pictures of one colour each, of which i and i + count / 2 are alike."""
    for i in range(count):
        hue = 180 * (i % (count // 2)) / (count // 2)
        pixels = cv2.cvtColor(np.full((64, 64, 3), (hue, 255, 200), np.uint8), cv2.COLOR_HSV2BGR)
        cv2.imwrite(str(folder / f"p{i}.png"), pixels)
    return folder


def test_few_photos_are_all_compared(tmp_path: Path) -> None:
    pairs, how = select_pairs(photos(EXHAUSTIVE_LIMIT), tmp_path, 1)
    assert len(set(pairs)) == EXHAUSTIVE_LIMIT * (EXHAUSTIVE_LIMIT - 1) // 2 and all(i < j for i, j in pairs)
    assert how == "every photo with every other"


def test_many_photos_are_compared_with_neighbours_and_look_alikes(tmp_path: Path) -> None:
    count = 100
    pairs, how = select_pairs(photos(count), write(tmp_path, count), 2)
    assert pairs == sorted(set(pairs)) and all(0 <= i < j < count for i, j in pairs)
    assert len(pairs) < count * (count - 1) // 3
    assert {(i, i + 1) for i in range(count - 1)} <= set(pairs)
    alike = {(i, i + count // 2) for i in range(count // 2)}
    assert len(alike & set(pairs)) > 0.9 * len(alike)
    assert "GPS" not in how


def test_gps_brings_places_together(tmp_path: Path) -> None:
    count = 100
    positions: list[object] = [(46.0 + 1e-4 * (i * 37 % count), 8.0, 0.0) for i in range(count)]
    pairs, how = select_pairs(photos(count, position=positions), write(tmp_path, count), 2)
    place = {i: i * 37 % count for i in range(count)}
    beside = {tuple(sorted((i, j))) for i in range(count) for j in range(count) if place[j] == place[i] + 1}
    assert beside <= set(pairs) and "GPS" in how


def test_order_by_time_or_else_by_number() -> None:
    times: list[object] = ["2020:01:01 00:00:02.", "2020:01:01 00:00:01.", "2020:01:01 00:00:03."]
    assert shooting_order(photos(3, time=times)) == [1, 0, 2]
    assert shooting_order(photos(12)) == list(range(12))
    assert shooting_order(photos(3, time=[times[0], "", times[1]])) == [0, 1, 2]


def test_sequence() -> None:
    pairs = sequence_pairs([3, 1, 2, 0])
    assert pairs == {(1, 3), (2, 3), (0, 3), (1, 2), (0, 1), (0, 2)}
    assert {j - i for i, j in sequence_pairs(list(range(100)))} == set(SEQUENCE_STEPS)


def test_nearest() -> None:
    line = np.stack([np.arange(50.0), np.zeros(50), np.zeros(50)], axis=1)
    pairs = nearest_pairs(line)
    assert {(i, i + 1) for i in range(49)} <= pairs and max(j - i for i, j in pairs) <= GPS_NEIGHBOURS


def test_similar_leaves_out_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert all(i < j for i, j in similar_pairs(vectors))
