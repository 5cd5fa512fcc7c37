"""The files of a capture: what goes in, what is half done, and how it appears in one piece.

All work happens in OUTPUT/.capture. When it is whole, images/, sparse/ and the report move to OUTPUT, capture.json
last: it says that the capture is complete. What an interrupted run left is built on if the photos are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splat.datasets.images import SUFFIXES as PHOTO_SUFFIXES
from splat.datasets.images import find_photos
from splat.datasets.sfm.video import SUFFIXES as VIDEO_SUFFIXES
from splat.errors import SplatError
from splat.files import atomic

SUMMARY, REPORT, WORK = "capture.json", "capture_report.html", ".capture"
INPUTS = "inputs.json"
#: In the order of publishing; the summary, which makes a capture complete, follows them.
PARTS = ("images", "sparse", REPORT)


@dataclass(frozen=True)
class Source:
    """What a capture is made from.

    Attributes:
        folder: the photos' names are relative to it.
        photos: the files found.
        missing: names of links to files that are gone.
        video: where there are no photos but this.
    """

    folder: Path
    photos: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    video: Path | None = None


def find_source(given: Path, output: Path) -> Source:
    """The photos in a folder, or the video.

    Raises:
        SplatError: there is neither, or the output would overwrite the input.
    """
    if not given.exists():
        raise SplatError(f"{given} does not exist; give a folder of photos or a video")
    if given.is_file():
        if given.suffix.lower() in VIDEO_SUFFIXES:
            return Source(given.parent, video=given)
        raise SplatError(f"{given} is neither a folder of photos nor a video ({' '.join(VIDEO_SUFFIXES)})")
    own = [output.resolve() / part for part in (*PARTS, WORK)]
    if any(given.resolve() == folder or folder in given.resolve().parents for folder in own):
        raise SplatError(f"{given} lies where the capture {output} would be written; choose another output folder")
    photos = [photo for photo in find_photos(given) if not any(folder in photo.resolve().parents for folder in own)]
    links = (path for path in given.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES and path.is_symlink())
    missing = [link.relative_to(given).as_posix() for link in links if not link.exists()]
    videos = sorted(path for path in given.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    if photos or missing:
        return Source(given, photos, missing)
    if len(videos) == 1:
        return Source(given, video=videos[0])
    if videos:
        raise SplatError(f"{given} holds {len(videos)} videos and no photos; name the video to use")
    raise SplatError(f"{given} holds no photos ({' '.join(PHOTO_SUFFIXES)}); give the folder they are in")


def fingerprint(source: Source, settings: dict[str, Any]) -> str:
    """Changes when a file is added, removed or changed, or when a setting is."""
    files = source.photos if source.video is None else [source.video]
    listing = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([listing, settings], sort_keys=True).encode()).hexdigest()


def finished(output: Path, inputs: str) -> dict[str, Any] | None:
    """The result of a complete capture of the same inputs."""
    try:
        summary = json.loads((output / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = all((output / part).exists() for part in PARTS)
    return summary["result"] if whole and isinstance(summary, dict) and summary.get("inputs") == inputs else None


def begin(output: Path, inputs: str) -> tuple[Path, bool]:
    """The folder to work in, and whether it continues an interrupted run.

    Raises:
        SplatError: the output holds something that is not a capture made here.
        OSError: it cannot be written.
    """
    work = output / WORK
    taken = [part for part in PARTS if (output / part).exists()]
    if taken and not (output / SUMMARY).exists() and not (work / INPUTS).exists():
        raise SplatError(f"{output} already holds {taken[0]} that no capture put there; choose an empty folder")
    try:
        continues = json.loads((work / INPUTS).read_text(encoding="utf-8")) == inputs
    except (OSError, ValueError):
        continues = False
    if not continues:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        write_json(work / INPUTS, inputs)
    return work, continues


def publish(work: Path, output: Path, summary: dict[str, Any]) -> None:
    """Moves a complete capture into place and removes the work folder."""
    (output / SUMMARY).unlink(missing_ok=True)
    for part in PARTS:
        remove(output / part)
        os.replace(work / part, output / part)
    write_json(output / SUMMARY, summary)
    shutil.rmtree(work, ignore_errors=True)


def abandon(output: Path) -> None:
    """Leaves the output as it was before a capture that cannot succeed."""
    shutil.rmtree(output / WORK, ignore_errors=True)
    if output.is_dir() and not any(output.iterdir()):
        output.rmdir()


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    with atomic(path) as part:
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
