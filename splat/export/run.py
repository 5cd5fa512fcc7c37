"""One export: from a scene to a file of which it is known how close to the scene it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from splat.budget import FILE_COSTS
from splat.errors import SplatError
from splat.export.copies import read_copy, write_copy
from splat.export.importance import weigh
from splat.export.kinds import is_page, kind, lost
from splat.export.progress import Progress
from splat.export.reduce import reduced
from splat.export.verify import ViewLoss, compare, mean
from splat.export.views import Views
from splat.files import atomic
from splat.gaussians import Gaussians

#: PSNR of the copy against the original, dB, below which an export fails by default: people see such a difference.
THRESHOLD = 30.0


@dataclass(frozen=True)
class Wishes:
    """What is asked of an export.

    Attributes:
        sh_degree, max_gaussians: at most; None for as many as there are.
        verify: read the file back and compare.
        threshold: PSNR in dB of the copy against the original below which the export fails. None: THRESHOLD, or none
            where a smaller scene was asked for.
    """

    sh_degree: int | None = None
    max_gaussians: int | None = None
    verify: bool = True
    threshold: float | None = None

    @property
    def least_psnr(self) -> float | None:
        if self.threshold is None and self.sh_degree is None and self.max_gaussians is None:
            return THRESHOLD
        return self.threshold


@dataclass(frozen=True)
class Exported:
    """What an export made.

    Attributes:
        path, bytes: the file.
        plain_bytes: of the original as a PLY of float32 numbers.
        gaussians, sh_degree: of the copy.
        lost: what the kind of file could not hold, a sentence each.
        losses: view by view; empty where nobody looked.
    """

    path: Path
    bytes: int
    plain_bytes: int
    gaussians: int
    sh_degree: int
    lost: list[str]
    losses: list[ViewLoss]


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
    held = kind(path)
    degree = _at_most(min(original.sh_degree, held.sh_degree), wishes.sh_degree)
    count = _at_most(len(original), wishes.max_gaussians)
    copy, weights = original, None
    if held.weighed or is_page(path) or degree < original.sh_degree or count < len(original):
        importance = weigh(original, views, progress)
        copy, importance = reduced(original, importance, views, count=count, sh_degree=degree, progress=progress)
        weights = importance.total
    with atomic(path) as temporary, _named(temporary, path):
        with progress.during(f"write {path.name}"):
            write_copy(copy, temporary, views, path.stem, weights)
        losses = []
        if wishes.verify:
            with progress.during(f"read {path.name} back"):
                back = read_copy(temporary, copy, views).to(original.device)
            losses = compare(original, back, views, progress)
            _check(losses, wishes.least_psnr, path)
        size = temporary.stat().st_size
    cost = FILE_COSTS["ply"]
    plain = round(len(original) * cost.per_gaussian[original.sh_degree])
    return Exported(path, size, plain, len(copy), copy.sh_degree, lost(original, path), losses)


def _at_most(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)


def _check(losses: list[ViewLoss], least: float | None, path: Path) -> None:
    found = mean(losses, "psnr")
    if least is not None and found is not None and not found >= least:
        raise SplatError(
            f"{path} was not written: what it would show is {found:.2f} dB from the original, below {least:g} dB; "
            "choose a format that holds more, or allow it with --threshold"
        )


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Has errors speak of the file that was asked for."""
    try:
        yield
    except SplatError as error:
        raise SplatError(str(error).replace(str(temporary), str(path))) from error
