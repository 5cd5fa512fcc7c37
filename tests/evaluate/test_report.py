"""report.html: one page that needs nothing else, whatever the photos are called."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from made_up import made_up_scene

from splat.datasets.scene import open_scene
from splat.evaluate.curves import curves, read_metrics
from splat.evaluate.metrics import ViewMetrics, evaluate_views
from splat.evaluate.pictures import ERROR_WHITE, error_map
from splat.evaluate.report import Evaluation, write_report

HOSTILE = "<script>alert('x')</script>&\".png"


class Reader(HTMLParser):
    """Collects what a browser would load, run and show, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img", "path", "use", "rect", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene, folder = open_scene(capture, test_every=5), tmp_path_factory.mktemp("page")
    gaussians = made_up_scene().transform(scene.normalization)
    indices = list(range(8))
    views = evaluate_views(gaussians, scene, indices, antialias="classic")
    views[0] = ViewMetrics(HOSTILE, psnr=1.0, psnr_corrected=2.0, ssim=0.1, seconds=0.5, lpips=0.25)
    metrics = folder / "metrics.jsonl"
    steps = [{"kind": "step", "step": n, "loss": 1 / n, "psnr": 20.0 + n, "gaussians": 100 * n} for n in range(1, 6)]
    lines = [json.dumps(entry) for entry in [*steps, {"kind": "eval", "step": 5, "psnr": 22.0}]]
    metrics.write_text("\n".join([*lines, '{"kind": "st']))
    evaluation = Evaluation(
        title="run & <b>",
        facts={"seed": "0"},
        budget={"scene.ply, of <2MB>": "1.9 MB"},
        views=views,
        indices=indices,
        antialias="classic",
        background=None,
        note="n",
    )
    write_report(folder / "report.html", evaluation, gaussians, scene, metrics)
    return folder / "report.html"


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


def test_it_needs_nothing_else(page: Path) -> None:
    reader = read(page)
    assert not reader.open
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in reader.sources)
    assert "@import" not in page.read_text() and "url(http" not in page.read_text()


def test_names_are_text_not_markup(page: Path) -> None:
    reader = read(page)
    assert "script" not in reader.tags and "b" in reader.tags
    assert HOSTILE in reader.text and "run & <b>" in reader.text


def test_it_shows_the_worst_and_the_best_views_and_lists_all(page: Path) -> None:
    reader = read(page)
    assert reader.tags.count("img") == 3 * (3 + 3)
    assert reader.tags.count("tr") == 1 + 8
    assert reader.tags.count("svg") == 3
    assert reader.text.index("Worst views") < reader.text.index(HOSTILE) < reader.text.index("Best views")
    assert "LPIPS" in reader.text and "colours fitted" in reader.text
    assert "poses fitted" not in reader.text  # they were not


def test_the_budget_stands_below_the_scores(page: Path) -> None:
    text = read(page).text
    assert (
        text.index("SSIM") < text.index("Budget") < text.index("scene.ply, of <2MB>") < text.index("How the run went")
    )
    assert "1.9 MB" in text


def test_no_curves_without_a_log(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "absent.jsonl") == []
    assert curves([]) == []


def test_curves_take_the_pages_colour_and_width() -> None:
    (loss, *_) = curves([{"kind": "step", "step": n, "loss": 0.1 * n, "psnr": 1.0, "gaussians": 2} for n in (1, 2)])
    assert loss.startswith("<svg") and "currentColor" in loss and 'width="' not in loss[: loss.index(">")]


def test_the_error_map_runs_from_black_to_white() -> None:
    target = torch.full((1, 3, 3), 0.5)
    rendered = target + torch.tensor([0.0, ERROR_WHITE / 3, ERROR_WHITE * 1.5])[None, :, None]
    shown = error_map(rendered, target)[0]
    assert shown[0].tolist() == [0, 0, 0] and shown[2].tolist() == [1, 1, 1]
    assert shown[1].tolist() == pytest.approx([1, 0, 0], abs=1e-5)
