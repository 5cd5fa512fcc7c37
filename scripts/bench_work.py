"""What each stage of a training step has to do: floating-point operations, and bytes to and from memory.

Operations are counted by running the library's own formulas on a number that counts (scripts/count_operations.cpp).
Bytes are what must be read once and written once, each tensor as a whole, so a stage that keeps something in a cache
between two passes does not come out faster than memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from bench_ceilings import run_program
from bench_scenes import BenchScene
from bench_stages import project_view

from splat.ops.tiles import tiles

#: Pixels of a block, a vector's lanes, which blending evaluates at once.
BLOCK = {"baseline": 4, "avx2": 8, "avx512": 16}
#: Bytes of a Gaussian: shape (centre, quaternion, scales, opacity) and SH of degree 3; of a projected one, all of it
#: and what tiles and blending read of it; of an instance's sums for the gradients.
SHAPE, SH, PROJECTED, PLACED, BLENDED, SUMS = 44, 192, 48, 36, 36, 36


@dataclass(frozen=True)
class Work:
    """Of one stage; operations are None where sorting is all it does."""

    operations: float | None
    bytes: float

    def __add__(self, other: Work) -> Work:
        return Work((self.operations or 0.0) + (other.operations or 0.0), self.bytes + other.bytes)


@cache
def operations() -> dict[str, int]:
    """Of a visible Gaussian (project), a pixel-Gaussian pair (blend), a pixel (loss) and a number (adam)."""
    return run_program("count_operations.cpp", "baseline")


@dataclass(frozen=True)
class Workload:
    """Of one view.

    Attributes:
        pairs: pixel-Gaussian pairs in the blocks of pixels that a Gaussian contributes to: those backward evaluates.
        stages: the stages of bench_stages.py that have work of their own, and the sums that contain them.
    """

    pairs: float
    stages: dict[str, Work]


def workload(scene: BenchScene) -> Workload:
    camera = scene.camera
    with torch.no_grad():
        view = project_view(scene.gaussians.parameters(), camera)
        lists = tiles(view.means2d, view.conics, view.depths, view.opacities, view.extents, camera.width, camera.height)
        blocks = torch.ops.splat.blend.default(
            view.means2d, view.conics, view.opacities, view.colours, None, None, lists.offsets, lists.gaussian_ids,
            lists.slots, lists.gaussian_offsets, camera.width, camera.height, False, True,
        )[3]  # fmt: skip
    bits = torch.tensor([byte.bit_count() for byte in range(256)])
    pairs = float(bits[blocks.view(torch.uint8).long()].sum()) * BLOCK[torch.ops.splat.cpu_isa()]
    return Workload(pairs, _stages(scene, lists.gaussian_ids.shape[0], pairs))


def _stages(scene: BenchScene, i: int, pairs: float) -> dict[str, Work]:
    n, v, p = len(scene.gaussians), scene.seen, scene.camera.width * scene.camera.height
    ops, mask, ids = operations(), 8, 4
    found = {
        "project": Work(ops["project"] * v, SHAPE * n + SH * v + PROJECTED * n),
        # Footprints written and read, the visible sorted by depth, the lists written.
        "tiles": Work(None, (PLACED + 2 * 16) * n + 64 * v + 2 * ids * i),
        "blend": Work(ops["blend"] * pairs, (ids + BLENDED + mask) * i + 16 * p),
        # A photo's bytes and the render in, its gradient out.
        "loss": Work(ops["loss"] * p, (3 + 12 + 12) * p),
        "blend backward": Work(
            ops["blend backward"] * pairs, (2 * ids + BLENDED + mask + 2 * SUMS) * i + BLENDED * n + 32 * p
        ),
        "project backward": Work(ops["project backward"] * v, (SHAPE + SH + 40) * v + (SHAPE + SH) * n),
        "adam": Work(ops["adam"] * 59 * n, 7 * (SHAPE + SH) * n),
        # Parameters and two moments in and out, of SH only those in sight.
        "project backward into adam": Work(
            ops["project backward"] * v + ops["adam"] * (11 * n + 48 * v), 6 * SHAPE * n + (6 * SH + 40) * v
        ),
    }
    drawn = found["project"] + found["tiles"] + found["blend"]
    both = drawn + found["loss"] + found["blend backward"]
    return found | {
        "render": drawn,
        "forward+backward": both + found["project backward"],
        "step": both + found["project backward into adam"],
    }
