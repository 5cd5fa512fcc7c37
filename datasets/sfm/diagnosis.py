"""What went wrong with a capture, photo by photo, and what to do about it. Pure functions of measurements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from splat.datasets.frames import counted, listed
from splat.datasets.sfm.photos import Photo

#: Matches that agree on a motion: fewer do not hold a photo in place (COLMAP asks for 30 to place one).
MIN_SHARED = 30
#: Fewer features than this: a wall, the sky, or out of focus.
FEW_FEATURES = 500
#: A photo with less than this part of the median sharpness is blurred.
BLURRED = 0.3
#: Stops of brightness that a photo may differ from the median; more, and features begin not to match.
FAR_EXPOSURE = 1.5
#: Stops between the darkest and the brightest photo that shows as flicker or haze in the scene.
WIDE_EXPOSURE = 1.0
#: Share of burnt-out pixels from which highlights are lost.
BURNT_OUT = 0.05
#: Each photo should share points with this many others.
GOOD_OVERLAP = 4
GOOD_ERROR = 1.0
FEW_PHOTOS = 20


@dataclass(frozen=True)
class Measured:
    """A photo's part in the capture.

    Attributes:
        placed: it is in the model that was kept.
        features: how many were found.
        neighbours: placed photos that it shares at least MIN_SHARED verified matches with.
        best: the most matches it shares with a placed photo, and that photo's name ("" if none).
        other_model: photos in the separate model that it is in, 0 if in none.
    """

    photo: Photo
    placed: bool
    features: int
    neighbours: int
    best: tuple[int, str]
    other_model: int = 0


def measure(
    photos: Sequence[Photo], features: dict[str, int], matches: dict[tuple[str, str], int], models: Sequence[set[str]]
) -> list[Measured]:
    """Brings together what the stages found.

    Args:
        features: count for each photo.
        matches: verified matches of each pair compared.
        models: names of the photos in each model, the kept one first.
    """
    placed = models[0]
    neighbours: Counter[str] = Counter()
    best: dict[str, tuple[int, str]] = {}
    for pair, count in matches.items():
        for name, other in (pair, pair[::-1]):
            if other in placed:
                neighbours[name] += count >= MIN_SHARED
                best[name] = max(best.get(name, (0, "")), (count, other))
    return [
        Measured(
            photo,
            photo.name in placed,
            features.get(photo.name, 0),
            neighbours[photo.name],
            best.get(photo.name, (0, "")),
            next((len(model) for model in models[1:] if photo.name in model), 0),
        )
        for photo in photos
    ]


def why_not_placed(photo: Measured, everyone: Sequence[Measured]) -> str:
    """The likeliest reason that a photo has no place in the model, most telling first."""
    usual_sharpness, usual_brightness = _usual(everyone)
    stops = photo.photo.brightness - usual_brightness
    if photo.photo.sharpness < BLURRED * usual_sharpness:
        return f"blurred: {photo.photo.sharpness / usual_sharpness:.0%} of the usual sharpness"
    if photo.features < FEW_FEATURES:
        return f"little texture: {photo.features} features"
    count, other = photo.best
    if abs(stops) > FAR_EXPOSURE and count < MIN_SHARED:
        return f"{'bright' if stops > 0 else 'dark'}: {abs(stops):.1f} stops from the others"
    if photo.other_model:
        return f"in a separate piece of {photo.other_model} photos: too little overlap with the rest"
    if count < MIN_SHARED:
        best = f"at most {count} matches, with {other}" if count else "no match with a photo that was placed"
        return f"little overlap: {best}; {MIN_SHARED} are needed"
    return f"its {count} matches with {other} contradict the model: something moved, or a pattern repeats"


def advice(everyone: Sequence[Measured], error: float) -> list[str]:
    """What to do to get a better capture; the most important first.

    Args:
        everyone: the usable photos.
        error: mean reprojection error, px.
    """
    placed = [photo for photo in everyone if photo.placed]
    lonely = [photo.photo.name for photo in placed if photo.neighbours < GOOD_OVERLAP]
    blurred = blurred_photos(everyone)
    spread = exposure_spread(everyone)
    burnt = [photo.photo.name for photo in everyone if photo.photo.clipped > BURNT_OUT]
    settings = {round(photo.photo.exif.exposure or 0, 1) for photo in everyone}
    lines = []
    if len(placed) < len(everyone):
        missing = counted(len(everyone) - len(placed), "photo")
        lines.append(f"{missing} found no place: take more between them and their neighbours, a small step apart.")
    if len(placed) < FEW_PHOTOS:
        lines.append(f"{len(placed)} placed photos are few: 30 to 100, all around and from two heights, look better.")
    if lonely and len(placed) > GOOD_OVERLAP:
        lines.append(
            f"{counted(len(lonely), 'photo')} overlap with fewer than {GOOD_OVERLAP} others ({listed(lonely)}): "
            "take more around there, so that each point is in three photos or more."
        )
    if blurred:
        lines.append(
            f"{counted(len(blurred), 'blurred photo')} ({listed(blurred)}): hold still, use more light or a "
            "shorter exposure, and leave such photos out."
        )
    if spread > WIDE_EXPOSURE:
        cause = " (the camera changed its settings)" if len(settings) > 1 else ""
        lines.append(f"Brightness differs by {spread:.1f} stops{cause}: lock exposure and white balance.")
    if burnt:
        lines.append(
            f"{counted(len(burnt), 'photo')} with burnt-out parts ({listed(burnt)}): expose for the light parts."
        )
    if error > GOOD_ERROR:
        lines.append(
            f"The reprojection error of {error:.2f} px is high: keep one lens and zoom, switch off stabilisation, "
            "and keep moving things out of the picture."
        )
    return lines


def blurred_photos(everyone: Iterable[Measured]) -> list[str]:
    """Names of photos far less sharp than the others."""
    everyone = list(everyone)
    usual, _ = _usual(everyone)
    return [photo.photo.name for photo in everyone if photo.photo.sharpness < BLURRED * usual]


def exposure_spread(everyone: Iterable[Measured]) -> float:
    """Stops between the photos at the 5th and the 95th percentile of brightness."""
    stops = sorted(photo.photo.brightness for photo in everyone)
    cut = len(stops) // 20
    return stops[-1 - cut] - stops[cut]


def _usual(everyone: Sequence[Measured]) -> tuple[float, float]:
    """Median sharpness and brightness, of the placed photos where there are any."""
    those = [photo.photo for photo in everyone if photo.placed] or [photo.photo for photo in everyone]
    return median(photo.sharpness for photo in those), median(photo.brightness for photo in those)
