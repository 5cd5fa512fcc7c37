"""What the report says about photos, from their measurements."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from splat.datasets.sfm.diagnosis import Measured, advice, blurred_photos, exposure_spread, measure, why_not_placed
from splat.datasets.sfm.exif import Exif
from splat.datasets.sfm.page import Page
from splat.datasets.sfm.photos import Photo

GOOD = Measured(Photo("good.jpg", "good.jpg", 640, 480, Exif(), 100.0, -2.0, 0.0), True, 4000, 8, (900, "b.jpg"))


def photo(name: str = "x.jpg", sharpness: float = 100.0, brightness: float = -2.0, clipped: float = 0.0, **rest):
    shot = replace(GOOD.photo, name=name, sharpness=sharpness, brightness=brightness, clipped=clipped)
    return replace(GOOD, photo=shot, **{"placed": False} | rest)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (photo(sharpness=10.0), "blurred: 10% of the usual sharpness"),
        (photo(features=120), "little texture: 120 features"),
        (photo(brightness=-4.0, best=(5, "b.jpg")), "dark: 2.0 stops from the others"),
        (photo(brightness=-0.1, best=(5, "b.jpg")), "bright: 1.9 stops from the others"),
        (photo(other_model=4), "in a separate piece of 4 photos"),
        (photo(best=(12, "b.jpg")), "little overlap: at most 12 matches, with b.jpg; 30 are needed"),
        (photo(best=(0, "")), "little overlap: no match"),
        (photo(best=(80, "b.jpg")), "its 80 matches with b.jpg contradict the model"),
    ],
)
def test_reasons(bad: Measured, reason: str) -> None:
    assert why_not_placed(bad, [GOOD, GOOD, GOOD, bad]).startswith(reason)


def test_a_good_capture_needs_no_advice() -> None:
    assert advice([GOOD] * 30, error=0.5) == []


@pytest.mark.parametrize(
    ("photos", "error", "words"),
    [
        ([GOOD] * 29 + [photo()], 0.5, "1 photo found no place"),
        ([GOOD] * 8, 0.5, "8 placed photos are few"),
        ([GOOD] * 29 + [photo("alone.jpg", placed=True, neighbours=2)], 0.5, "alone.jpg"),
        ([GOOD] * 29 + [photo("soft.jpg", sharpness=9.0, placed=True)], 0.5, "1 blurred photo (soft.jpg)"),
        ([photo(brightness=-1 - i / 10, placed=True) for i in range(30)], 0.5, "Brightness differs by 2.7 stops"),
        ([GOOD] * 29 + [photo("sun.jpg", clipped=0.3, placed=True)], 0.5, "1 photo with burnt-out parts (sun.jpg)"),
        ([GOOD] * 30, 1.6, "reprojection error of 1.60 px"),
    ],
)
def test_advice(photos: list[Measured], error: float, words: str) -> None:
    lines = advice(photos, error)
    assert len(lines) == 1 and words in lines[0]


def test_measurements_come_together() -> None:
    photos = [replace(GOOD.photo, name=name) for name in "abcd"]
    matches = {("a", "b"): 200, ("c", "a"): 40, ("b", "c"): 12, ("d", "c"): 90}
    a, b, c, d = measure(photos, dict.fromkeys("abc", 1000), matches, [{"a", "b"}, {"c", "d"}])
    assert a.placed and not c.placed and c.other_model == 2 and a.other_model == 0
    assert (a.neighbours, a.best) == (1, (200, "b"))
    assert (c.neighbours, c.best) == (1, (40, "a"))
    assert (d.neighbours, d.best, d.features) == (0, (0, ""), 0)
    assert b.best == (200, "a")


def test_spread_and_blur() -> None:
    photos = [photo(str(i), brightness=-float(i), sharpness=100 if i else 1) for i in range(5)]
    assert exposure_spread(photos) == 4
    assert blurred_photos(photos) == ["0"]


def test_the_report_is_one_page_that_shows_names_as_text(tmp_path: Path) -> None:
    name = "<b>&x.jpg"
    cv2.imwrite(str(tmp_path / "x.jpg"), np.zeros((90, 120, 3), np.uint8))
    (tmp_path / "x.jpg").rename(tmp_path / name)
    points = np.random.default_rng(0).normal(size=(100, 3))
    page = Page("T", {"k": "<v>"}, [], {name: "blurred"}, [photo(name), GOOD], tmp_path, points[:5], points).html()

    class Reader(HTMLParser):
        tags: list[str] = []
        text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            assert not any(str(value).startswith(("http", "//")) for _, value in attrs)

        def handle_data(self, data: str) -> None:
            self.text += data

    reader = Reader()
    reader.feed(page)
    assert name in reader.text and "<v>" in reader.text and "Nothing: this is a good capture." in reader.text
    assert reader.tags.count("img") == 1 and reader.tags.count("circle") > 50
