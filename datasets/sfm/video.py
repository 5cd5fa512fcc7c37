"""Video to photos: the sharpest frame of each interval."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splat.datasets.sfm.photos import sharpness
from splat.errors import SplatError

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp")
FRAMES_PER_SECOND = 2.0
MIN_FRAMES, MAX_FRAMES = 40, 200


def target_frames(seconds: float) -> int:
    """How many frames to take where the user does not say."""
    return round(min(max(FRAMES_PER_SECOND * seconds, MIN_FRAMES), MAX_FRAMES))


def extract_frames(video: Path, folder: Path, count: int | None, progress: Callable[[int, int], None]) -> None:
    """Writes the sharpest frame of each of `count` equal intervals to `folder`, set upright by the video's metadata.

    The folder appears when it is complete; if it exists already, nothing is done.

    Raises:
        SplatError: the video cannot be decoded.
        OSError: the folder cannot be written.
    """
    if folder.exists():
        return
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    total, rate = _length(video)
    intervals = min(count or target_frames(total / rate), total)
    _extract(video, part, intervals, total, progress)
    os.replace(part, folder)


def _open(video: Path) -> Any:
    import cv2

    reader = cv2.VideoCapture(str(video))
    if not reader.isOpened():
        raise SplatError(f"{video} is no video that can be decoded; convert it to H.264 in an .mp4")
    reader.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return reader


def _length(video: Path) -> tuple[int, float]:
    """Number of frames and frames a second. Headers lie, so the frames are counted unless the claim can be checked."""
    import cv2

    reader = _open(video)
    try:
        total, rate = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)), float(reader.get(cv2.CAP_PROP_FPS))
        rate = rate if 1 <= rate <= 1000 else 30.0
        # Seeking to the last frame claimed costs one group of pictures; counting costs the whole video.
        if total > 0 and reader.set(cv2.CAP_PROP_POS_FRAMES, total - 1) and reader.grab():
            return total, rate
    finally:
        reader.release()
    reader, total = _open(video), 0
    try:
        while reader.grab():
            total += 1
    finally:
        reader.release()
    if not total:
        raise SplatError(f"{video} holds no frame that can be decoded; convert it to H.264 in an .mp4")
    return total, rate


def _extract(video: Path, folder: Path, intervals: int, total: int, progress: Callable[[int, int], None]) -> None:
    import cv2

    reader = _open(video)
    best_score, best_frame, best_index, interval = -1.0, None, 0, 0
    try:
        for index in range(total + 1):
            ok, frame = reader.read() if index < total else (False, None)
            if not ok or frame is None or index * intervals // total > interval:
                if best_frame is not None:
                    _write(folder / f"frame_{best_index:06d}.jpg", best_frame)
                best_score, best_frame, interval = -1.0, None, index * intervals // total
                progress(interval, intervals)
            if not ok or frame is None:
                break
            score = sharpness(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
            if score > best_score:
                best_score, best_frame, best_index = score, frame, index
    finally:
        reader.release()
    if not any(folder.iterdir()):
        raise SplatError(f"{video} holds no frame that can be decoded; convert it to H.264 in an .mp4")


def _write(path: Path, frame: Any) -> None:
    import cv2

    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    path.write_bytes(data.tobytes())
