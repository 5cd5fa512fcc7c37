"""Captures the scenes of $SPLAT_DATA and compares them with the reference reconstructions there.

    SPLAT_DATA=data python scripts/bench_capture.py [SCENE ...] [--json FILE]

Prints the table of docs/benchmarks/capture.md. CPU seconds are what to compare: they do not depend on what else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from splat.datasets.capture import CaptureConfig, capture

SCENES = {
    "banana": "banana/images",
    "brighton_beach": "brighton_beach/images",
    "sceaux_castle": "sceaux_castle/images",
    "fox": "fox/images",
    "bonsai_orbit.mp4": "video/bonsai_orbit.mp4",
    "bonsai": "bonsai/images",
}
HEAD = "| scene | placed | points | error, px | track | centres off | s | CPU s | peak MB |\n" + 9 * "|---" + "|"


def measure(name: str, source: Path) -> dict[str, Any]:
    """One capture, in a process of its own so that its peak memory is its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            result = capture(source, Path(folder) / "scene", CaptureConfig())
            seconds = time.perf_counter() - start
            reference = source.parent / "sparse" / "0"
            off = centres_off(result.output / "sparse" / "0", reference) if reference.exists() else None
            values = result.to_json() | {"scene": name, "wall": seconds, "off": off}
            os.write(writing, json.dumps(values).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        values = json.loads(pipe.read() or "null")
    usage = os.wait4(child, 0)[2]
    if values is None:
        sys.exit(f"{name}: the capture failed")
    return values | {"cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def centres_off(model: Path, reference: Path) -> float:
    """RMS distance of the camera centres from the reference's after a similarity fit, in parts of their spread."""
    import pycolmap

    ours, theirs = pycolmap.Reconstruction(model), pycolmap.Reconstruction(reference)
    centres = {image.name: image.projection_center() for image in theirs.images.values() if image.has_pose}
    pairs = [(i.projection_center(), centres[i.name]) for i in ours.images.values() if i.name in centres and i.has_pose]
    source, target = (np.array(side) for side in zip(*pairs, strict=True))
    fit = pycolmap.estimate_sim3d(source, target)
    assert fit is not None
    moved = np.array([fit * point for point in source])
    return float(np.sqrt(((moved - target) ** 2).sum(1).mean() / ((target - target.mean(0)) ** 2).sum(1).mean()))


def row(values: dict[str, Any]) -> str:
    off = "" if values["off"] is None else f"{100 * values['off']:.2f} %"
    cells = [
        values["scene"],
        f"{len(values['registered'])} of {values['photos']}",
        f"{values['points']:,}",
        f"{values['reprojection_error']:.3f}",
        f"{values['track_length']:.1f}",
        off,
        f"{values['wall']:.0f}",
        f"{values['cpu']:.0f}",
        f"{values['peak_mb']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help=f"of {', '.join(SCENES)}; all but bonsai if none is named")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args()
    data = os.environ.get("SPLAT_DATA")
    if not data:
        sys.exit("SPLAT_DATA is not set: set it to the folder of test data")
    print(HEAD)
    results = []
    for name in options.scenes or [name for name in SCENES if name != "bonsai"]:
        results.append(measure(name, Path(data) / SCENES[name]))
        print(row(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
