"""Sizes of the page for phones, for docs/benchmarks/page.md.

splat train datasets/sample -o run --iterations 1200 --downscale 2 --max-gaussians 60000
python scripts/bench_page.py run
"""

from __future__ import annotations

import argparse
import base64
import re
import tempfile
import time
from pathlib import Path

import torch

from splat.export.page import write_page
from splat.formats import read
from splat.formats.cameras import read_cameras
from splat.gaussians import Gaussians


def tiled(gaussians: Gaussians, count: int) -> Gaussians:
    """So many Gaussians: shifted copies of the scene, each a little different."""
    generator = torch.Generator().manual_seed(0)
    width = gaussians.means.quantile(0.95, dim=0) - gaussians.means.quantile(0.05, dim=0)
    parts = []
    for index in range(-(-count // len(gaussians))):
        copy = Gaussians.of({name: tensor.clone() for name, tensor in gaussians.parameters().items()})
        copy.means += torch.tensor([index % 3, 0, index // 3]) * width
        for tensor in copy.parameters().values():
            tensor += 0.02 * tensor.std(0) * torch.randn(tensor.shape, generator=generator)
        parts.append(copy)
    return Gaussians.concat(parts).select(torch.arange(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    scene = read(options.run / "scene.ply")
    cameras = [view.camera for view in read_cameras(options.run / "cameras.json")]
    print(
        "| Gaussians | SH degree | page, MB | scene in it, MB | bytes a Gaussian | viewer, gzip, kB | written in, s |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in (len(scene), 200_000):
        for degree in (0, 1, 3):
            gaussians = (
                tiled(scene.with_sh_degree(degree), count) if count != len(scene) else scene.with_sh_degree(degree)
            )
            with tempfile.TemporaryDirectory() as folder:
                path, began = Path(folder) / "page.html", time.perf_counter()
                write_page(gaussians, path, title="bench", cameras=cameras)
                seconds, text = time.perf_counter() - began, path.read_text(encoding="utf-8")
            code, *pieces = re.findall(r'<script type="text/plain">([^<]*)</script>', text)
            inside = sum(len(base64.b64decode(piece)) for piece in pieces)
            print(
                f"| {count:,} | {degree} | {len(text) / 1e6:.2f} | {inside / 1e6:.2f} | {inside / count:.1f} "
                f"| {len(base64.b64decode(code)) / 1e3:.0f} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
