"""Which SH degree, how many Gaussians and how coarse a rounding look best in a number of bytes: found by writing and
rendering them.

Of each degree, the finest rounding at which all Gaussians fit is sought first, then finer ones with fewer Gaussians as
long as they look better: for most scenes coarser numbers cost less than Gaussians that are not there.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splat.errors import SplatError
from splat.evaluate.metrics import psnr, render_view
from splat.export.colours import with_sh_degree
from splat.export.copies import read_copy, write_copy
from splat.export.importance import Importance
from splat.export.kinds import kind
from splat.export.progress import Progress
from splat.export.reduce import ranking
from splat.export.views import Views, shrunk, some
from splat.gaussians import Gaussians
from splat.morton import morton_order

#: Views that a choice is judged by, and pixels of each at most.
VIEWS, PIXELS = 6, 100_000
#: Multiples of a format's usual rounding steps that are tried.
COARSENESS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
#: Gaussians that are written as a whole to see how large a file gets; of more, so many, in RUNS neighbourhoods.
SAMPLE, RUNS = 200_000, 20
#: A file of at least this share of the target is good enough, and so many are written to get there: to compare SH
#: degrees, and for the one that was chosen.
ROUGH, EXACT = (0.92, 3), (0.98, 5)
#: Share of the target that is aimed at: a file a little too large is worth nothing.
CAUTION = 0.995
#: Of a range of counts, the next one is no nearer to its ends than this: sizes go in steps, too.
INWARDS = 0.1
#: How many more Gaussians are tried at first when SH has a degree less.
MORE = 1.3


@dataclass(frozen=True)
class Candidate:
    """One way to keep the target.

    Attributes:
        sh_degree, gaussians: what stays.
        coarseness: rounding steps in multiples of the format's usual ones.
        bytes: of the file; an estimate for scenes of more than SAMPLE Gaussians.
        psnr: dB, against the original in small pictures.
    """

    sh_degree: int
    gaussians: int
    coarseness: float
    bytes: int
    psnr: float

    def __str__(self) -> str:
        rounding = f", rounding {self.coarseness:.1f} times coarser" if self.coarseness > 1 else ""
        return f"{self.gaussians:,} Gaussians of SH degree {self.sh_degree}{rounding}"


@dataclass(frozen=True)
class Plan:
    """What was chosen, and from what.

    Attributes:
        target: bytes.
        candidates: those that were tried, the highest SH degree first, of one degree the coarsest first.
        chosen: the best of them.
    """

    target: int
    candidates: list[Candidate]
    chosen: Candidate

    def __str__(self) -> str:
        tried = "; ".join(f"{each} ({each.psnr:.1f} dB)" for each in self.candidates)
        return f"{self.chosen} were chosen for {self.target:,} bytes, by PSNR in small pictures, of: {tried}"


class Planner:
    """Makes a scene fit.

    Args:
        original: the scene.
        importance: of its Gaussians.
        views: from where it is looked at.
        name: of the file to be written, whose end says the format.
        sh_degree, count: the highest that may stay.
    """

    def __init__(
        self,
        original: Gaussians,
        importance: Importance,
        views: Views,
        name: str,
        *,
        sh_degree: int,
        count: int,
        progress: Progress | None = None,
    ) -> None:
        self.original, self.importance, self.views, self.name = original, importance, views, name
        self.sh_degree, self.count = sh_degree, count
        self.progress = progress or Progress()
        self.steps = COARSENESS if kind(Path(name)).coarsens else (1.0,)
        # By importance; the first so many Gaussians were weighed without the others.
        self.order, self.ranked = torch.arange(0), len(original)
        self.judges = [shrunk(view, PIXELS) for view in some(views.trained, VIEWS)]
        self.pictures = [self._picture(original, index) for index in range(len(self.judges))]
        first = importance.total.argmax()[None]
        self.fixed = self._written(original.select(first).with_sh_degree(0), importance.select(first))[0]

    def fit(self, target: int) -> tuple[Gaussians, Importance, Plan]:
        """The scene that looks best in `target` bytes.

        Raises:
            SplatError: no Gaussian fits; it says how small the file can be.
        """
        if self.fixed > target:
            raise self._too_small(target)
        candidates: list[Candidate] = []
        guess, coarsest = self.count, len(self.steps) - 1
        for degree in range(self.sh_degree, -1, -1):
            fitted = with_sh_degree(self.original, degree, self.importance)
            found = self._of_degree(fitted, target, guess, coarsest)
            if not found:
                continue
            candidates += found
            best = max(candidates, key=lambda candidate: candidate.psnr)
            # Where all fit, or were better at a higher degree, lower ones have nothing to add.
            if (found[-1].coarseness == 1 and found[-1].gaussians == self.count) or best not in found:
                break
            # A lower degree leaves room for more Gaussians and for finer numbers.
            guess, coarsest = min(self.count, int(MORE * best.gaussians)), self.steps.index(best.coarseness)
        if not candidates:
            raise self._too_small(target)
        chosen = max(candidates, key=lambda candidate: candidate.psnr)
        fitted = with_sh_degree(self.original, chosen.sh_degree, self.importance)
        best = self._best(fitted, target, chosen.gaussians, chosen.coarseness, is_exact=True)
        if best is None:
            raise self._too_small(target)
        scene, weights, chosen = best
        return scene, weights, Plan(target, candidates, chosen)

    def _of_degree(self, fitted: Gaussians, target: int, count: int, coarsest: int) -> list[Candidate]:
        """What was tried of one SH degree, the coarsest first; nothing where no Gaussian fits.

        Args:
            count: a guess how many fit where not all do.
            coarsest: index of the step beyond which none is of use.
        """
        sizes: dict[int, int] = {}
        low, high = 0, coarsest
        while low < high:
            middle = (low + high) // 2 if sizes or fitted.sh_degree < self.sh_degree else 0
            sizes[middle] = self._size(*self._first(fitted, self.count), self.steps[middle])[0]
            low, high = (low, middle) if sizes[middle] <= target else (middle + 1, high)
        candidates: list[Candidate] = []
        for step in range(low, -1, -1):
            guess, size = (self.count if step == low and low < coarsest else count), sizes.get(step)
            best = self._best(fitted, target, guess, self.steps[step], of_all=size, is_exact=False)
            if best is None:
                break
            candidates.append(best[2])
            if len(candidates) > 1 and candidates[-1].psnr < candidates[-2].psnr:
                break
            count = candidates[-1].gaussians
        return candidates

    def _best(
        self,
        fitted: Gaussians,
        target: int,
        count: int,
        coarseness: float,
        *,
        of_all: int | None = None,
        is_exact: bool,
    ) -> tuple[Gaussians, Importance, Candidate] | None:
        """As many of the Gaussians as fit, beginning with a guess; None if not even one does.

        Args:
            fitted: all of them, of one SH degree.
            of_all: bytes with all, if they are known.
            is_exact: write the whole scene, however large, so that the file is sure to be no larger.
        """
        share, tries = EXACT if is_exact else ROUGH
        best: tuple[Gaussians, Importance, Gaussians, int] | None = None
        low, high = (0, self.fixed), None
        if of_all is not None and of_all > target:
            high = self.count, of_all
            count = min(count, self._between(low, high, target))
        while best is None or tries > 0:
            tries -= 1
            scene, weights = self._first(fitted, count)
            written = self._written if is_exact else self._size
            size, back = written(scene, weights, coarseness)
            if size <= target:
                low, best = (count, size), (scene, weights, back, size)
                if count == self.count or size >= share * target:
                    break
            else:
                high = count, size
            count = self._between(low, high, target)
            if count <= low[0]:
                break
        if best is None:
            return None
        scene, weights, back, size = best
        if back is scene and len(self.steps) > 1:
            # Its size was told from a part, but its rounding is to be compared with others.
            back = self._written(scene, weights, coarseness)[1]
        return scene, weights, Candidate(scene.sh_degree, len(scene), coarseness, size, self._psnr(back))

    def _between(self, low: tuple[int, int], high: tuple[int, int] | None, target: int) -> int:
        """How many Gaussians should fit, from numbers of them and their bytes: one that fits and one that does not."""
        if high is None:
            return min(self.count, int(low[0] * (CAUTION * target - self.fixed) / max(low[1] - self.fixed, 1)))
        share = (CAUTION * target - low[1]) / max(high[1] - low[1], 1)
        return low[0] + int(min(max(share, INWARDS), 1 - INWARDS) * (high[0] - low[0]))

    def _too_small(self, target: int) -> SplatError:
        least = f"with a single Gaussian it has {self.fixed:,}; ask for more, or for another kind of file"
        return SplatError(f"{self.name} cannot be made as small as {target:,} bytes: {least}")

    def _first(self, fitted: Gaussians, count: int) -> tuple[Gaussians, Importance]:
        """The most important ones, in the order they had."""
        if count >= len(fitted):
            return fitted, self.importance
        if self.ranked > count:
            self.ranked = max(1, int(0.8 * count))
            self.order = ranking(self.original, self.importance, self.views, self.ranked, self.progress)
        stays = self.order[:count].sort().values
        return fitted.select(stays), self.importance.select(stays)

    def _size(self, scene: Gaussians, weights: Importance, coarseness: float) -> tuple[int, Gaussians]:
        """Bytes of the file, and the scene as it is then: both measured, or estimated for a large scene."""
        if len(scene) <= SAMPLE:
            return self._written(scene, weights, coarseness)
        order = morton_order(scene.means)
        starts = torch.linspace(0, len(scene) - SAMPLE // RUNS, RUNS).long()
        rows = (starts[:, None] + torch.arange(SAMPLE // RUNS)).flatten().to(order.device)
        size, _ = self._written(scene.select(order[rows]), weights.select(order[rows]), coarseness)
        return self.fixed + (size - self.fixed) * len(scene) // SAMPLE, scene

    def _written(self, scene: Gaussians, weights: Importance, coarseness: float = 1.0) -> tuple[int, Gaussians]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.name
            what = f"{len(scene):,} Gaussians, SH degree {scene.sh_degree}, rounding {coarseness:g}"
            with self.progress.during(f"try {what}"):
                write_copy(scene, path, self.views, path.stem, weights.total, coarseness)
            return path.stat().st_size, read_copy(path, scene, self.views).to(scene.device)

    def _psnr(self, scene: Gaussians) -> float:
        values = [float(psnr(self._picture(scene, index), picture)) for index, picture in enumerate(self.pictures)]
        return sum(values) / len(values)

    def _picture(self, scene: Gaussians, index: int) -> Tensor:
        camera = self.judges[index].camera
        return render_view(scene, camera, antialias=scene.antialias, background=self.views.background)
