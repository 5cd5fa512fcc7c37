"""Video files, written picture by picture through ffmpeg; none is seen under its name before it is whole."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError
from splat.files import atomic

if TYPE_CHECKING:
    from torch import Tensor

#: ffmpeg's encoder and its quality, by suffix; H.264 plays everywhere.
H264 = ("libx264", "-crf", "18", "-movflags", "+faststart")
ENCODERS = {".webm": ("libvpx-vp9", "-crf", "30", "-b:v", "0"), ".mkv": ("libx264", "-crf", "18")}
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def even(side: float) -> int:
    """The nearest size that a video can have: encoders halve the colours' resolution."""
    return max(2, 2 * round(side / 2))


def to_uint8(image: Tensor) -> Tensor:
    """[H, W, 3] in [0, 1] to bytes, rounded."""
    return (image.detach().clamp(0, 1) * 255 + 0.5).byte().cpu()


@contextmanager
def video_writer(output: Path, fps: int, width: int, height: int) -> Iterator[Callable[[Tensor], None]]:
    """Opens a video; when the block raises, nothing is left of it.

    Args:
        output: its suffix is one of SUFFIXES.
        fps: pictures a second.
        width, height: of all pictures, even.

    Yields:
        What takes the next picture, [H, W, 3] uint8 on the CPU.

    Raises:
        SplatError: ffmpeg failed, or the file cannot be written.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    wanted = ["-c:v", *ENCODERS.get(output.suffix.lower(), H264), "-pix_fmt", "yuv420p"]
    with atomic(output) as partial, tempfile.TemporaryFile() as log:
        command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", *given, *wanted, str(partial)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        pipe = process.stdin
        assert pipe is not None

        def add(picture: Tensor) -> None:
            pipe.write(picture.numpy().tobytes())

        try:
            yield add
            pipe.close()
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
            raise SplatError(f"{output}: ffmpeg failed ({why}): see whether the disk is full.")


def _close(process: subprocess.Popen[bytes]) -> None:
    """Lets go of a process whose pipe may be broken."""
    with suppress(BrokenPipeError):
        process.communicate()
