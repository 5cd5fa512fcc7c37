"""Where rendered frames go: a video file or a folder of PNGs. Neither is seen under its name before it is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError
from splat.files import atomic

if TYPE_CHECKING:
    from torch import Tensor

#: ffmpeg's encoder and its quality, by suffix; H.264 plays everywhere.
H264 = ("libx264", "-crf", "18", "-movflags", "+faststart")
ENCODERS = {".webm": ("libvpx-vp9", "-crf", "30", "-b:v", "0"), ".mkv": ("libx264", "-crf", "18")}
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
        SplatError: ffmpeg failed, or the file cannot be written.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    wanted = ["-c:v", *ENCODERS.get(output.suffix.lower(), H264), "-pix_fmt", "yuv420p"]
    with atomic(output) as partial, tempfile.TemporaryFile() as log:
        command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", *given, *wanted, str(partial)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert process.stdin is not None
        try:
            for frame in frames:
                process.stdin.write(to_uint8(frame).numpy().tobytes())
            process.stdin.close()
            status = process.wait()
        except BrokenPipeError:
            status = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            _close(process)
        if status:
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()
            why = said[-1] if said else f"it ended with status {status}"
            raise SplatError(f"{output}: ffmpeg failed ({why}): see whether the disk is full, or give -o a folder.")


def _close(process: subprocess.Popen[bytes]) -> None:
    """Lets go of a process whose pipe may be broken."""
    with suppress(BrokenPipeError):
        process.communicate()


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
