"""Photos or a video to cameras and points: `capture`, structure from motion by COLMAP."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from splat.datasets.frames import counted
from splat.datasets.images import find_photos
from splat.datasets.sfm import diagnosis, folder
from splat.datasets.sfm.features import extract_features, write_cameras
from splat.datasets.sfm.mapping import MIN_MODEL, map_photos
from splat.datasets.sfm.matching import compared_pairs, match_pairs
from splat.datasets.sfm.pairs import select_pairs
from splat.datasets.sfm.photos import Photo, prepare_photos
from splat.datasets.sfm.result import CaptureResult, Found, describe
from splat.datasets.sfm.video import extract_frames
from splat.datasets.threads import default_threads
from splat.errors import SplatError

__all__ = ["STAGES", "CaptureConfig", "CaptureResult", "Progress", "capture"]

#: The stages that `progress` is told about, in order; "frames" only for a video.
STAGES = ("frames", "photos", "features", "matching", "mapping")
#: Features of all photos together, and bounds for one. Comparing photos takes longest, in proportion to the square of
#: all features: few photos can afford more each, and need them, since their poses rest on few matches.
ALL_FEATURES, LEAST_FEATURES, MOST_FEATURES = 2**18, 4096, 16384

#: progress(stage, done, total): done of total frames, photos, photos, pairs of photos, photos.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CaptureConfig:
    """How a capture is made."""

    max_image_size: int = 1600
    """Features are looked for in photos scaled down to this longer side [px]."""
    max_features: int | None = None
    """Features kept for each photo; by default 262144 over the number of photos, at least 4096 and at most 16384."""
    frames: int | None = None
    """Frames taken from a video; by default two a second, at least 40 and at most 200."""
    threads: int | None = None
    """Threads; by default one for each core, at most 8 (each takes up to half a gigabyte)."""
    seed: int = 0
    """Seed of the random sampling."""
    verbose: bool = False
    """Show COLMAP's own messages."""

    def __post_init__(self) -> None:
        limits = {"max_image_size": 64, "max_features": 100, "frames": MIN_MODEL, "threads": 1, "seed": 0}
        for name, least in limits.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise SplatError(f"{name} must be at least {least}, got {value}")


def capture(
    photos: Path, output: Path, config: CaptureConfig | None = None, progress: Progress | None = None
) -> CaptureResult:
    """Finds where photos were taken from, and points of what they show.

    Writes COLMAP's layout: images/ (the photos, upright) and sparse/0/, with capture.json and capture_report.html. The
    folder is complete or, but for .capture in it, untouched. Called again after an interruption it continues; called
    again when it is complete, with the same photos and settings, it returns what it found then.

    Args:
        photos: a folder of photos, or a video.
        output: the folder to make.
        progress: told (stage, done, total), with the stages of STAGES.

    Raises:
        SplatError: no photos, fewer than 3 usable, no overlap; pycolmap is missing; the output cannot be written.
    """
    photos, output, config = Path(photos), Path(output), config or CaptureConfig()
    source = folder.find_source(photos, output)
    settings = {key: value for key, value in asdict(config).items() if key not in ("threads", "verbose")}
    inputs = folder.fingerprint(source, settings)
    known = folder.finished(output, inputs)
    if known is not None:
        return CaptureResult(**known | {"output": output, "continued": True})
    try:
        with _colmap(config.verbose):
            work, continued = folder.begin(output, inputs)
            result = describe(work, _find(source, work, config, progress))
        result = replace(result, output=output, continued=continued)
        folder.publish(work, output, {"inputs": inputs, "result": result.to_json()})
        return result
    except SplatError as error:
        # What could not be written may be once there is room; no other run of these photos would end better.
        if not isinstance(error.__cause__, OSError):
            folder.abandon(output)
        raise
    except (OSError, RuntimeError) as error:
        raise _cannot_write(output, error) from error


def _find(source: folder.Source, work: Path, config: CaptureConfig, progress: Progress | None) -> Found:
    """The stages; leaves the photos in images/."""
    threads = config.threads or default_threads()
    images, database, seconds = work / "images", work / "database.db", dict[str, float]()

    @contextmanager
    def stage(name: str) -> Iterator[Callable[[int, int], None]]:
        start = time.perf_counter()
        yield lambda done, total: progress(name, done, total) if progress else None
        seconds[name] = round(time.perf_counter() - start, 2)

    if source.video is not None:
        with stage("frames") as step:
            extract_frames(source.video, work / "frames", config.frames, step)
        source = replace(source, folder=work / "frames", photos=find_photos(work / "frames"))
    with stage("photos") as step:
        photos, left_out = prepare_photos(source.folder, source.photos, images, threads, step)
    left_out |= dict.fromkeys(source.missing, "a link to a file that is gone")
    _check_enough(source, photos, left_out)
    with stage("features") as step:
        write_cameras(database, photos, images)
        count = config.max_features or min(max(ALL_FEATURES // len(photos), LEAST_FEATURES), MOST_FEATURES)
        features = extract_features(database, photos, images, config.max_image_size, count, threads, step)
    with stage("matching") as step:
        pairs, matching = select_pairs(photos, images, threads)
        match_pairs(database, photos, pairs, config.seed, threads, step)
        matches = compared_pairs(database)
    with stage("mapping") as step:
        folder.remove(work / "models")
        models, mapper = map_photos(database, images, work / "models", len(photos), config.seed, threads, step)
    if not models:
        raise SplatError(_nothing_placed(photos, features, matches))
    return Found(photos, left_out, features, matches, matching, models, mapper, seconds)


def _check_enough(source: folder.Source, photos: list[Photo], left_out: dict[str, str]) -> None:
    if len(photos) >= MIN_MODEL:
        return
    given = source.video or source.folder
    total = len(photos) + len(left_out)
    usable = f"only {len(photos)} of {counted(total, 'photo')} can be used" if left_out else counted(total, "photo")
    why = "".join(f"; {name}: {reason}" for name, reason in list(left_out.items())[:1])
    raise SplatError(f"{given} holds too few photos: {usable}, and at least 3 are needed (30 are better){why}")


def _nothing_placed(photos: list[Photo], features: dict[str, int], matches: dict[tuple[str, str], int]) -> str:
    if median(features.values()) < diagnosis.FEW_FEATURES:
        found = f"half of them have {median(features.values()):.0f} features or fewer, where thousands are usual"
    else:
        found = f"the best pair shares {max(matches.values(), default=0)} features, where hundreds are usual"
    return (
        f"none of the {len(photos)} photos could be placed, they overlap too little: {found}. Walk around one thing "
        "and take a photo at every small step, so that each shows most of what the one before shows"
    )


@contextmanager
def _colmap(verbose: bool) -> Iterator[None]:
    """pycolmap, silent unless asked: what it has to say that matters, it raises."""
    try:
        import pycolmap
    except ImportError:
        raise SplatError("capture needs pycolmap; run `pip install 'splatworks[capture]'`") from None
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        # On import it takes SIGTERM for a crash, to be met with a stack trace; this gives the signal back.
        signal.signal(signal.SIGTERM, handler)
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = int(pycolmap.logging.INFO if verbose else pycolmap.logging.FATAL)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level


def _cannot_write(output: Path, error: Exception) -> SplatError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).strip().splitlines()[-1]
    at = error.filename if isinstance(error, OSError) and error.filename else output
    return SplatError(
        f"{at}: {reason}. Check that {output} can be written and that its disk has room, then run the same command: "
        "it goes on where it stopped"
    )
