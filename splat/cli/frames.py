"""Where rendered frames go: a video file or a folder of PNGs. Neither is seen under its name before it is whole."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError
from splat.video import SUFFIXES, to_uint8, video_writer

if TYPE_CHECKING:
    from torch import Tensor

_FRAME = re.compile(r"\d{5}\.png")


def is_video(output: Path) -> bool:
    """Whether the name asks for a video rather than a folder of PNGs.

    Raises:
        SplatError: it has the suffix of something else.
    """
    suffix = output.suffix.lower()
    if suffix and suffix not in SUFFIXES and not output.is_dir():
        known = ", ".join(SUFFIXES)
        raise SplatError(f"{output} is neither a video ({known}) nor a folder: choose one of these suffixes, or none.")
    return suffix in SUFFIXES and not output.is_dir()


def write_video(frames: Iterable[Tensor], output: Path, fps: int, width: int, height: int) -> None:
    """Encodes [H, W, 3] images in [0, 1], all of one size, width and height even.

    Raises:
        SplatError: ffmpeg failed, or the file cannot be written.
    """
    with video_writer(output, fps, width, height) as add:
        for frame in frames:
            add(to_uint8(frame))


def write_folder(frames: Iterable[Tensor], output: Path) -> int:
    """Writes [H, W, 3] images in [0, 1] as 00000.png, 00001.png, …; frames of an earlier rendering are replaced.

    Returns:
        Their number.

    Raises:
        SplatError: the folder holds something else.
    """
    from PIL import Image

    if output.exists() and not output.is_dir():
        raise SplatError(f"{output} is a file: give a folder for the pictures, or remove it.")
    if output.is_dir() and any(not _FRAME.fullmatch(name) for name in os.listdir(output)):
        raise SplatError(f"{output} holds other things than rendered frames: choose a new or empty folder.")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    partial.mkdir()
    count = 0
    try:
        for count, frame in enumerate(frames, start=1):
            Image.fromarray(to_uint8(frame).numpy()).save(partial / f"{count - 1:05d}.png")
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count
