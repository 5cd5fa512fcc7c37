"""Which photos to compare: all with all while that is cheap, then those likely to show the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.sfm.exif import metres
from splat.datasets.sfm.photos import Photo, decode
from splat.datasets.threads import in_order

#: Up to here every photo is compared with every other: 1770 pairs.
EXHAUSTIVE_LIMIT = 60
#: Places further along the sequence a photo is compared with; the far ones close gaps that blurred photos leave.
SEQUENCE_STEPS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 32)
GPS_NEIGHBOURS = 12
SIMILAR_NEIGHBOURS = 12
#: Thumbnails are compared at this size, px.
THUMBNAIL = 16

Pair = tuple[int, int]


def select_pairs(photos: list[Photo], images: Path, threads: int) -> tuple[list[Pair], str]:
    """Index pairs (i < j) to compare, sorted, and in words how they were chosen."""
    count = len(photos)
    if count <= EXHAUSTIVE_LIMIT:
        return list(combinations(range(count), 2)), "every photo with every other"
    pairs = sequence_pairs(shooting_order(photos)) | similar_pairs(thumbnails(photos, images, threads))
    how = ["neighbours in time or name", "similar thumbnails"]
    positions = {index: photo.exif.position for index, photo in enumerate(photos) if photo.exif.position}
    if len(positions) > GPS_NEIGHBOURS:
        indices = list(positions)
        near = nearest_pairs(np.array(metres([position for position in positions.values() if position])))
        pairs |= {_pair(indices[i], indices[j]) for i, j in near}
        how.insert(1, "GPS neighbours")
    return sorted(pairs), ", ".join(how)


def shooting_order(photos: list[Photo]) -> list[int]:
    """Indices by time where every photo has one, else by name, where photo 10 comes after photo 9."""
    by_time = all(photo.exif.time for photo in photos)

    def key(index: int) -> tuple[str, list[tuple[int, str]]]:
        words = re.findall(r"\d+|\D+", photos[index].name)
        natural = [(int(word), "") if word.isdigit() else (0, word) for word in words]
        return photos[index].exif.time if by_time else "", natural

    return sorted(range(len(photos)), key=key)


def sequence_pairs(order: list[int]) -> set[Pair]:
    """Each photo with the ones that SEQUENCE_STEPS say, along the order."""
    return {_pair(a, order[i + step]) for i, a in enumerate(order) for step in SEQUENCE_STEPS if i + step < len(order)}


def nearest_pairs(positions: NDArray[np.float64]) -> set[Pair]:
    """Each point with its GPS_NEIGHBOURS nearest. positions: [P, 3] metres, P > GPS_NEIGHBOURS."""
    from scipy.spatial import KDTree

    _, neighbours = KDTree(positions).query(positions, k=GPS_NEIGHBOURS + 1)
    return {_pair(i, int(j)) for i, row in enumerate(np.asarray(neighbours)) for j in row if i != j}


def similar_pairs(thumbs: NDArray[np.float32]) -> set[Pair]:
    """Each photo with the SIMILAR_NEIGHBOURS that look most like it. thumbs: [P, D] unit vectors."""
    likeness = thumbs @ thumbs.T
    np.fill_diagonal(likeness, -np.inf)
    neighbours = np.argsort(-likeness, axis=1)[:, :SIMILAR_NEIGHBOURS]
    return {_pair(i, int(j)) for i, row in enumerate(neighbours) for j in row if i != j}


def thumbnails(photos: Iterable[Photo], images: Path, threads: int) -> NDArray[np.float32]:
    """[P, D] unit vectors: each photo's small picture without its mean brightness."""
    import cv2

    def thumbnail(photo: Photo) -> NDArray[np.float32]:
        small = decode(images / photo.name, cv2.IMREAD_REDUCED_COLOR_8)
        small = cv2.resize(small, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2Lab).reshape(-1, 3)
        # Exposure shifts the lightness; the mean colour tells places apart.
        vector = (lab - lab.mean(0) * np.array([1, 0, 0], np.float32)).ravel()
        return vector / max(float(np.linalg.norm(vector)), 1e-6)

    return np.stack(list(in_order(thumbnail, photos, threads)))


def _pair(a: int, b: int) -> Pair:
    return (a, b) if a < b else (b, a)
