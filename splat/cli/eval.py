"""`splat eval`: how close a run's renders come to photos it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from splat.cli.options import Device, parse
from splat.cli.output import amount, reporting, track, warn
from splat.cli.runs import METRICS, REPORT, read_scene, run_folder

if TYPE_CHECKING:
    from splat.datasets.scene import Scene
    from splat.evaluate.floaters import Floaters
    from splat.evaluate.metrics import ViewMetrics
    from splat.gaussians import Gaussians
    from splat.train.config import TrainConfig

EXAMPLES = """\
  splat eval run
  splat eval run --json
  splat eval run --capture moved/scene --split all"""

Split = Literal["test", "train", "all"]
#: What a report says where training refined the poses of its photos.
POSES_NOTE = (
    " Every photo is compared at the pose the capture gives it, though training refined them (cameras.json); PSNR with "
    "poses fitted is from where the scene looks most like the photo."
)
#: Parts of a budget, as the report names them.
BUDGET = {
    "size": "scene.ply, of",
    "vram": "GPU memory, of",
    "device": "Gaussians, of",
    "time": "planning and training, of",
}


@dataclass
class Eval:
    """Compares a run's renders with its held-out photos: PSNR, also with the colours fitted to each photo and, where
    training refined poses, with the pose fitted to it; SSIM; LPIPS where its weights are on this machine; and says how
    much floats in views from beside the path. Writes RUN/report.html: each view's scores, the worst and the best as
    photo, render and error, the run's curves, and what it took of its budget.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Run's folder."""
    capture: Path | None = None
    """Where the capture is now, if it has been moved since the training."""
    split: Split = "test"
    """Photos to compare with: held out (test), trained on (train), or all."""
    device: Device = "auto"
    """Where to render: auto takes an NVIDIA GPU where Splat's kernels run on one, else the CPU."""
    json: bool = False
    """Print one JSON object: psnr (dB), psnr_corrected (dB, with the colours fitted to each photo), psnr_aligned (dB,
    with the pose fitted to it; null where poses were not refined), ssim, lpips, views (how many), floaters (percent of
    the picture in views off the path, score and worst), gaussians, seconds (of this evaluation), train_seconds, report,
    per_view."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Eval, "eval", arguments, EXAMPLES)
    with reporting(options.json) as report:
        values = evaluate_run(options)
        aligned = values["psnr_aligned"]
        poses = "" if aligned is None else f", {aligned:.2f} dB with the pose fitted to it"
        text = (
            f"{options.run}: PSNR {values['psnr']:.2f} dB ({values['psnr_corrected']:.2f} dB with the colours fitted "
            f"to each photo{poses}), SSIM {values['ssim']:.4f} on {values['views']} "
            f"{'photos' if options.split == 'all' else f'{options.split} photos'}, {values['gaussians']:,} Gaussians\n"
            f"LPIPS: {_lpips_text(values)}\n"
            f"floaters: {values['floaters']['score']:.2f} % of the picture in {values['floaters']['views']} views from "
            f"beside the path, {values['floaters']['worst']:.2f} % in the worst\nreport: {values['report']}"
        )
        report(values, text)


def evaluate_run(options: Eval) -> dict[str, Any]:
    """Scores the run and writes its report.

    Returns:
        What `--json` prints.

    Raises:
        SplatError: it is no run, its capture is gone, or it has no such photos.
    """
    import torch

    from splat.errors import SplatError
    from splat.evaluate.floaters import score_floaters
    from splat.evaluate.metrics import BLACK, evaluate_views, mean
    from splat.evaluate.perceptual import lpips_metric
    from splat.train.run import load_config, load_source, open_capture

    started = perf_counter()
    folder = run_folder(options.run)
    config = load_config(folder)
    source = options.capture or load_source(folder)
    if not source.is_dir():
        raise SplatError(f"{source}, the capture of {folder}, is gone: say with --capture where it is now.")
    scene = open_capture(source, config)
    warn(scene.warnings)
    indices = {"test": scene.test, "train": scene.train, "all": list(range(len(scene.views)))}[options.split]
    if not indices:
        raise SplatError(f"{folder} has no {options.split} photos: choose others with --split.")
    gaussians = read_scene(folder, options.device)[1].transform(scene.normalization)
    lpips, lpips_note = lpips_metric(gaussians.device)
    views = evaluate_views(
        gaussians,
        scene,
        track(indices, "compare", len(indices)),
        antialias=config.antialias,
        background=torch.tensor(scene.background or BLACK),
        align=config.corrections.poses,
        lpips=lpips,
    )
    cameras = [scene.views[index].camera.to(gaussians.device) for index in scene.train]
    floaters = score_floaters(gaussians, cameras, scene.extent, config.antialias)
    page, train_seconds = write_run_report(folder, config, scene, gaussians, views, indices, lpips_note, floaters)
    return {
        "psnr": mean(views, "psnr"),
        "psnr_corrected": mean(views, "psnr_corrected"),
        "psnr_aligned": mean(views, "psnr_aligned"),
        "ssim": mean(views, "ssim"),
        "lpips": mean(views, "lpips"),
        "lpips_note": lpips_note,
        "views": len(views),
        "floaters": asdict(floaters),
        "gaussians": len(gaussians),
        "seconds": perf_counter() - started,
        "train_seconds": train_seconds,
        "report": str(page),
        "per_view": [asdict(view) for view in views],
    }


def write_run_report(
    folder: Path,
    config: TrainConfig,
    scene: Scene,
    gaussians: Gaussians,
    views: Sequence[ViewMetrics],
    indices: Sequence[int],
    lpips_note: str,
    floaters: Floaters | None = None,
) -> tuple[Path, float | None]:
    """Writes the run's report.html.

    Args:
        gaussians: in the scene's normalised world.
        views, indices: the scores, and the views in `scene.views` they are of.
        floaters: what floats off the path, where that was looked for.

    Returns:
        The page, and the seconds of training; None if the run's log does not say.
    """
    import torch

    from splat.evaluate.curves import read_metrics
    from splat.evaluate.metrics import BLACK
    from splat.evaluate.report import Evaluation, write_report
    from splat.train.run import load_budget

    logged = read_metrics(folder / METRICS)
    last = logged[-1] if logged else {}
    seconds = last.get("seconds")
    sizes = {(view.camera.width, view.camera.height) for view in scene.views}
    facts = {
        "floaters off the path": "" if floaters is None else f"{floaters.score:.2f} %",
        "floaters in the worst view": "" if floaters is None else f"{floaters.worst:.2f} %",
        "Gaussians": f"{len(gaussians):,}",
        "SH degree": str(gaussians.sh_degree),
        "steps": f"{last.get('step', config.iterations):,} of {config.iterations:,}",
        "training": "" if seconds is None else f"{seconds / 60:.1f} min",
        "photos trained on": str(len(scene.train)),
        "size": " ".join(f"{width}×{height}" for width, height in sorted(sizes)[:3]) + ("…" if len(sizes) > 3 else ""),
        "filter": config.antialias,
        "seed": str(config.seed),
    }
    page = folder / REPORT
    evaluation = Evaluation(
        title=folder.resolve().name,
        facts={label: value for label, value in facts.items() if value},
        budget={
            f"{BUDGET[name]} {part.words}": amount(part.unit, part.used) for name, part in load_budget(folder).items()
        },
        views=views,
        indices=indices,
        antialias=config.antialias,
        background=torch.tensor(scene.background or BLACK),
        note=f"Capture: {scene.source}. LPIPS: {lpips_note}.{POSES_NOTE if config.corrections.poses else ''}",
    )
    write_report(page, evaluation, gaussians, scene, folder / METRICS)
    return page, seconds


def _lpips_text(values: dict[str, Any]) -> str:
    score = values["lpips"]
    return values["lpips_note"] if score is None else f"{score:.4f} ({values['lpips_note']})"
