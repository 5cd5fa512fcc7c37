"""What a step's CUDA kernels compute: PTX instructions by kind, of each kernel and of each of its loops.

PTX is what nvcc hands to ptxas, which fuses and drops some, so counts are near those of the machine, not equal to them.
Flags are those of the last `make native`:

    .venv/bin/python scripts/kernel_operations.py [--arch 90] [KERNEL ...]

A loop's count is of one round, without the loops inside it, with all branches taken.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kernel_resources import BUILD, readable

ROOT = BUILD.parents[1]
#: Those of a training step with 3 channels, SH of degree 3 and pinhole cameras.
OF_A_STEP = {
    "project_forward": ["forward<0, 3>"],
    "tiles": [
        "count_tiles",
        "drop_beyond_bound",
        "depth_keys",
        "gather",
        "emit_instances",
        "pad_instances",
        "tile_offsets",
    ],
    "blend_forward": ["composite<3, false>"],
    "photometric": ["similarity", "finish_loss", "make_gradient"],
    "blend_backward": ["sum_instances<3, false, false>"],
    "blend_gather": ["gather"],
    "project_backward": ["backward<0, 3, MoveGaussians>"],
}
KINDS = ("all", "float", "special", "shared", "global", "warp")
ARITHMETIC = {"add", "sub", "mul", "fma", "min", "max", "abs", "neg"}
SPECIAL = {"ex2", "lg2", "rcp", "sqrt", "rsqrt", "div"}


def ptx(source: str, arch: str) -> str:
    """Of one .cu file."""
    ninja = (BUILD / "build.ninja").read_text()
    command = re.search(r"rule nvcc\n  command = (.*?) -c \$in", ninja)
    if command is None:
        raise SystemExit(f"{BUILD} was made without nvcc: put it on PATH and run `make native`.")
    words = shlex.split(re.sub(r"-MD -MF \S+|-gencode \S+|-Xptxas \S+", "", command[1]))
    words += ["-ptx", f"-arch=compute_{arch}", str(ROOT / f"cuda/gpu/{source}.cu")]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*words, "-o", f"{folder}/ptx"], check=True)
        return Path(folder, "ptx").read_text()


def kernels(text: str) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Each kernel's name and its basic blocks: label and instructions."""
    for part in re.split(r"^(?:\.visible )?\.entry ", text, flags=re.M)[1:]:
        blocks: list[tuple[str, list[str]]] = [("", [])]
        for line in map(str.strip, part[part.index("{") :].splitlines()):
            if label := re.match(r"(\$L\w+):", line):
                blocks.append((label[1], []))
            elif re.match(r"[@a-z].*;$", line):
                blocks[-1][1].append(line)
        yield readable([re.split(r"\W", part, maxsplit=1)[0]])[0], blocks


def loops(blocks: list[tuple[str, list[str]]]) -> dict[tuple[int, int], list[int]]:
    """First and last block of each loop, and those of its blocks that are in no loop inside it."""
    place = {label: i for i, (label, _) in enumerate(blocks)}
    last: dict[int, int] = {}
    for i, (_, instructions) in enumerate(blocks):
        for target in re.findall(r"bra\S* \t?(\$L\w+)", "\n".join(instructions)):
            if place.get(target, i + 1) <= i:
                last[place[target]] = i
    inside = {
        span: [other for other in last.items() if span[0] <= other[0] and other[1] <= span[1]] for span in last.items()
    }
    return {
        span: [i for i in range(span[0], span[1] + 1) if not any(a <= i <= b for a, b in inner if (a, b) != span)]
        for span, inner in inside.items()
    }


def count(instructions: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter(all=len(instructions))
    for line in instructions:
        words = re.sub(r"^@!?%p\d+ *", "", line).split()[0].rstrip(";").split(".")
        if words[0] in SPECIAL and "f32" in words:
            counts["special"] += 1
        elif words[0] in ARITHMETIC and "f32" in words:
            counts["float"] += 1
        elif words[0] in ("ld", "st") and words[1] in ("shared", "global"):
            counts[words[1]] += 1
        elif words[0] in ("shfl", "vote", "bar"):
            counts["warp"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help="files such as blend_forward; all if none")
    parser.add_argument("--arch", default="90", help="compute capability (90)")
    options = parser.parse_args()
    print(f"| file | kernel | part | {' | '.join(KINDS)} |\n|---|---|---|{'---:|' * len(KINDS)}")
    for source in options.kernels or OF_A_STEP:
        for name, blocks in kernels(ptx(source, options.arch)):
            if name not in OF_A_STEP[source]:
                continue
            parts = {"all": list(range(len(blocks)))}
            parts |= {f"loop {first}-{last}": own for (first, last), own in sorted(loops(blocks).items())}
            for part, own in parts.items():
                counts = count([line for i in own for line in blocks[i][1]])
                print(f"| {source} | `{name}` | {part} | {' | '.join(str(counts[kind]) for kind in KINDS)} |")


if __name__ == "__main__":
    main()
