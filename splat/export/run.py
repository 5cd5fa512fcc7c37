"""One export: from a scene to a file of which it is known how close to the scene it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from splat.budget import FILE_COSTS
from splat.errors import SplatError
from splat.export.colours import with_sh_degree
from splat.export.copies import read_copy, write_copy
from splat.export.filter import for_classic
from splat.export.finetune import finetune
from splat.export.importance import Importance, weigh
from splat.export.kinds import held_filter, kind, lost
from splat.export.plan import Plan, Planner
from splat.export.progress import Progress
from splat.export.reduce import ranking
from splat.export.report import write_report
from splat.export.verify import ViewLoss, compare, mean
from splat.export.views import Views
from splat.files import atomic
from splat.gaussians import Gaussians

#: PSNR of the copy against the original, dB, below which an export fails by default: people see such a difference.
THRESHOLD = 30.0
#: What the report's name has beyond the file's.
REPORT = ".report.html"


@dataclass(frozen=True)
class Wishes:
    """What is asked of an export.

    Attributes:
        sh_degree, max_gaussians: at most; None for as many as there are.
        target_size: bytes of the file, at most.
        finetune: steps by which what is left is moved so that the file shows what the original does.
        verify: read the file back and compare.
        report: write a page that shows both side by side, beside the file.
        threshold: PSNR in dB of the copy against the original below which the export fails. None: THRESHOLD, or none
            where a smaller scene was asked for.
    """

    sh_degree: int | None = None
    max_gaussians: int | None = None
    target_size: int | None = None
    finetune: int = 0
    verify: bool = True
    report: bool = False
    threshold: float | None = None

    @property
    def least_psnr(self) -> float | None:
        is_less = any(wish is not None for wish in (self.sh_degree, self.max_gaussians, self.target_size))
        return self.threshold if self.threshold is not None or is_less else THRESHOLD


@dataclass(frozen=True)
class Exported:
    """What an export made.

    Attributes:
        path, bytes: the file.
        plain_bytes: of the original as a PLY of float32 numbers.
        gaussians, sh_degree: of the copy.
        lost: what the kind of file could not hold, a sentence each.
        losses: view by view; empty where nobody looked.
        plan: how a target size was kept.
        report: the page that shows both, if it was asked for.
    """

    path: Path
    bytes: int
    plain_bytes: int
    gaussians: int
    sh_degree: int
    lost: list[str]
    losses: list[ViewLoss]
    plan: Plan | None
    report: Path | None


def export(
    original: Gaussians, path: Path, views: Views, wishes: Wishes | None = None, progress: Progress | None = None
) -> Exported:
    """Writes a copy of a scene, reads it back and compares the two. The path holds either what it held before or the
    whole new file, which has passed.

    Args:
        original: the scene, on the device where it is to be rendered, with the filter that it is meant for.
        path: its end says what is written.
        views: from where the scene is looked at.

    Raises:
        SplatError: the kind of file is not written, the scene is empty, the copy is too far from the original, or the
            file cannot be written.
    """
    wishes, progress = wishes or Wishes(), progress or Progress()
    if not len(original):
        raise SplatError(f"{path}: the scene holds no Gaussians, so there is nothing to export; choose another scene")
    # Before all else: where nothing can be written, nothing is worth doing.
    with atomic(path) as temporary, _named(temporary, path):
        copy, importance, plan = _smaller(original, path, views, wishes, progress)
        coarseness = 1.0 if plan is None else plan.chosen.coarseness
        if copy.antialias != "classic" and held_filter(copy.antialias, kind(path)) == "classic":
            copy = for_classic(copy, importance or weigh(copy, views, progress), views)
        if wishes.finetune:

            def round_trip(scene: Gaussians) -> Gaussians:
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / path.name
                    total = None if importance is None else importance.total
                    write_copy(scene, file, views, path.stem, total, coarseness)
                    return read_copy(file, scene, views)

            copy = finetune(copy, original, views, wishes.finetune, round_trip, progress)
        with progress.during(f"write {path.name}"):
            copy = _write(copy, importance, temporary, path.stem, views, coarseness, wishes.target_size)
        losses, back = [], copy
        if wishes.verify:
            with progress.during(f"read {path.name} back"):
                back = read_copy(temporary, copy, views).to(original.device)
            losses = compare(original, back, views, progress)
        size, cost = temporary.stat().st_size, FILE_COSTS["ply"]
        plain = round(len(original) * cost.per_gaussian[original.sh_degree])
        page = path.with_name(f"{path.name}{REPORT}") if wishes.report else None
        exported = Exported(path, size, plain, len(copy), copy.sh_degree, lost(original, path), losses, plan, page)
        if page is not None:
            with progress.during(f"write {page.name}"):
                write_report(page, path.name, _facts(exported), _notes(exported), original, back, views, losses)
        _check(exported, wishes.least_psnr)
    return exported


def _smaller(
    original: Gaussians, path: Path, views: Views, wishes: Wishes, progress: Progress
) -> tuple[Gaussians, Importance | None, Plan | None]:
    """What is left of the scene, what matters in it where that was asked, and how a target size was kept."""
    held = kind(path)
    degree = _at_most(min(original.sh_degree, held.sh_degree), wishes.sh_degree)
    count = _at_most(len(original), wishes.max_gaussians)
    if wishes.target_size is not None:
        importance = weigh(original, views, progress)
        planner = Planner(original, importance, views, path.name, sh_degree=degree, count=count, progress=progress)
        return planner.fit(wishes.target_size)
    if not held.weighed and degree == original.sh_degree and count == len(original):
        return original, None, None
    copy, importance = original, weigh(original, views, progress)
    if count < len(original):
        stays = ranking(original, importance, views, count, progress)[:count].sort().values
        copy, importance = original.select(stays), importance.select(stays)
    return with_sh_degree(copy, degree, importance), importance, None


def _write(
    copy: Gaussians,
    importance: Importance | None,
    path: Path,
    title: str,
    views: Views,
    coarseness: float,
    target: int | None,
) -> Gaussians:
    """Writes the copy, without some more of its Gaussians where it became larger than the target; gives what was
    written."""
    while True:
        write_copy(copy, path, views, title, None if importance is None else importance.total, coarseness)
        size = path.stat().st_size
        if target is None or importance is None or size <= target or len(copy) < 2:
            return copy
        left = max(1, min(int(0.995 * len(copy) * target / size), len(copy) - 1))
        stays = importance.total.topk(left).indices.sort().values
        copy, importance = copy.select(stays), importance.select(stays)


def _at_most(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)


def _check(exported: Exported, least: float | None) -> None:
    found = mean(exported.losses, "psnr")
    if least is not None and found is not None and not found >= least:
        shown = "" if exported.report is None else f" (see {exported.report})"
        raise SplatError(
            f"{exported.path} was not written: what it would show is {found:.2f} dB from the original, below {least:g} "
            f"dB{shown}; choose a format that holds more, or allow it with --threshold"
        )


def _facts(exported: Exported) -> dict[str, str]:
    return {
        "MB": f"{exported.bytes / 1e6:.2f}",
        "times smaller than the PLY": f"{exported.plain_bytes / exported.bytes:.1f}",
        "Gaussians": f"{exported.gaussians:,}",
        "SH degree": str(exported.sh_degree),
        "views": str(len(exported.losses)),
    }


def _notes(exported: Exported) -> list[str]:
    plan = [] if exported.plan is None else [f"{exported.plan}."]
    return [*plan, *(f"Lost: {sentence}." for sentence in exported.lost)]


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Has errors speak of the file that was asked for."""
    try:
        yield
    except SplatError as error:
        raise SplatError(str(error).replace(str(temporary), str(path))) from error
