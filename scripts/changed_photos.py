"""Photos changed as phones and passers-by change them: the same each time, and known exactly."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

#: [H, W, 3] uint8 photo -> the photo changed, by a source of random numbers.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def exposed(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another exposure and white balance: in linear light times 0.6 to 1.5, and each colour times 0.9 to 1.1."""
    gain = np.exp(random.uniform(np.log(0.6), np.log(1.5))) * random.uniform(0.9, 1.1, 3)
    return _from_linear(_to_linear(photo) * gain)


def locally_exposed(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A phone's local tone mapping as well: brighter or darker towards one side by up to a factor of 1.6 at the border,
    and shadows lifted by up to twice."""
    height, width = photo.shape[:2]
    slopes, lift = np.log(1.6) * random.uniform(-0.7, 0.7, 2), random.uniform(0, 1)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    linear = _to_linear(photo)
    shadow = (1 - cv2.GaussianBlur(photo, (0, 0), width / 30).mean(-1) / 255) ** 2
    gain = np.exp(slopes[0] * x + slopes[1] * y) * (1 + lift * shadow)
    return exposed(_from_linear(linear * gain[..., None]), random)


def people(size: tuple[int, int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One to three silhouettes, each with a head, a body and legs in colours of their own.

    Returns:
        [H, W, 3] uint8 the people, and [H, W] bool where they are.
    """
    height, width = size
    picture, where = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for _ in range(random.integers(1, 4)):
        tall = random.uniform(0.3, 0.6) * height
        x, top = random.uniform(0, width), random.uniform(0, height - tall)
        skin, shirt, trousers = (random.integers(20, 236, 3).tolist() for _ in range(3))
        parts = [
            (0.08, 0.08, 0.06, skin),  # where the middle is, half the height and half the width, of the whole
            (0.36, 0.21, 0.13, shirt),
            (0.77, 0.23, 0.09, trousers),
        ]
        for middle, half_height, half_width, colour in parts:
            centre = (round(x), round(top + middle * tall))
            axes = (round(half_width * tall), round(half_height * tall))
            cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1)  # pyright: ignore
            cv2.ellipse(where, centre, axes, 0, 0, 360, 1, -1)  # pyright: ignore
    shades = cv2.GaussianBlur(random.normal(0, 1, (height, width)), (0, 0), 0.01 * height)
    folds = np.clip(picture * (1 + 0.15 * shades / shades.std())[..., None], 0, 255)
    return folds.astype(np.uint8), where > 0


def _to_linear(photo: np.ndarray) -> np.ndarray:
    """[H, W, 3] in [0, 1], the sRGB curve undone."""
    encoded = photo / 255.0
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _from_linear(linear: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8, clipped."""
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (encoded * 255).round().astype(np.uint8)
