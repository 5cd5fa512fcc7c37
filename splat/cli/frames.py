"""Where rendered frames go: a video file or a folder of PNGs. Neither is seen under its name before it is whole."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError
from splat.files import atomic

if TYPE_CHECKING:
    from torch import Tensor

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
_FRAME = re.compile(r"\d{5}\.png")


def is_video(output: Path) -> bool:
    """Whether the name asks for a video rather than a folder of PNGs.

    Raises:
        SplatError: it has the suffix of something else.
    """
    suffix = output.suffix.lower()
    if suffix and suffix not in VIDEO_SUFFIXES and not output.is_dir():
        known = ", ".join(VIDEO_SUFFIXES)
        raise SplatError(f"{output} is neither a video ({known}) nor a folder: choose one of these suffixes, or none.")
    return suffix in VIDEO_SUFFIXES and not output.is_dir()


def to_uint8(image: Tensor) -> Tensor:
    """[H, W, 3] in [0, 1] to bytes, rounded."""
    return (image.detach().clamp(0, 1) * 255 + 0.5).byte().cpu()


def write_video(frames: Iterable[Tensor], output: Path, fps: int, width: int, height: int) -> None:
    """Encodes [H, W, 3] images in [0, 1], all of one size, width and height even.

    Raises:
        SplatError: ffmpeg failed.
    """
    import imageio_ffmpeg

    codec = "libvpx-vp9" if output.suffix.lower() == ".webm" else "libx264"
    with atomic(output) as partial:
        writer = imageio_ffmpeg.write_frames(
            str(partial), (width, height), fps=fps, codec=codec, quality=8, macro_block_size=2, ffmpeg_log_level="error"
        )
        try:
            writer.send(None)
            for frame in frames:
                writer.send(to_uint8(frame).numpy().tobytes())
        except BrokenPipeError as error:
            raise SplatError(f"{output}: ffmpeg stopped; is the disk full? Or render to a folder of PNGs.") from error
        finally:
            writer.close()
        if not partial.stat().st_size:
            raise SplatError(f"{output}: ffmpeg wrote nothing; its message is above. Or render to a folder of PNGs.")


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
