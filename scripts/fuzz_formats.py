"""Reads broken scene files by the hundred thousand: each must give a scene or one sentence, in bounded memory.

    python scripts/fuzz_formats.py                                     # 10^5 cases of each format
    python scripts/fuzz_formats.py --formats .spz .sog --cases 2000 --seed 1 --json fuzzing.json
    python scripts/fuzz_formats.py --formats .spz --case 1234          # one of them once more, here

Small valid files of every kind that a reader knows are cut, flipped, overwritten with extreme numbers, spliced, and
their blocks moved; where a file is a container (zip, gzip, zstd, glTF's chunks), also what is in it, wrapped again with
right sizes and checksums, so that what reads the inside is reached. Among them are decompression bombs and zip members
with names that lead elsewhere. With SPLAT_DATA, files of other writers are among the valid ones.

A case fails if the reader raises anything but a SplatError of one line that names the file, gives a scene with numbers
that are not finite, takes more than 64 MiB beyond the file and twice the scene, takes over ten seconds, leaves another
file behind, or ends the process. A case is made from the seed, the format and its number alone.
"""

from __future__ import annotations

import argparse
import base64
import copy
import faulthandler
import gzip
import io
import json
import math
import mmap
import multiprocessing
import os
import random
import re
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splat.errors import SplatError
from splat.formats import FORMATS, read, write
from splat.gaussians import Gaussians

MIB = 1 << 20
#: Memory that a reader may take beyond what the file and its scene need.
ALLOWANCE = 64 * MIB
SECONDS = 10
BOMB_BYTES = 256 * MIB
#: How a child ends that cannot read a valid file.
INVALID = 3
EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
EXTREMES += [1 << 33, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
FLOATS = [math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, -0.0]
NUMBERS = [
    "-1",
    "0",
    "1",
    "255",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "1e9",
    "nan",
    "9" * 30,
    "9" * 5000,
]
NAMES = [
    "../escaped",
    "../../escaped",
    "/escaped",
    "..\\escaped",
    "meta.json",
    "a/../meta.json",
    "",
    "\x00",
    "x" * 2000,
    "dir/",
]
JSONS = [None, True, -1, 0, 1, 1 << 31, 1 << 64, 10**400, 1e308, -1e-300, math.nan, math.inf, "", "x", "../escaped"]
JSONS += [[], {}, [[[]]], [0] * 1000, {"": 0}, "\ud800"]


def gaussians(count: int, degree: int) -> Gaussians:
    generator = torch.Generator().manual_seed(count + degree)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    quats, sh = normal(count, 4), 0.3 * normal(count, (degree + 1) ** 2, 3)
    return Gaussians(normal(count, 3), quats, normal(count, 3) - 3, normal(count), sh)


def valid_files(suffix: str, folder: Path) -> list[bytes]:
    """Small files that the format's reader takes: as Splat writes them, made here, and of SPLAT_DATA."""
    files = []
    for count, degree in ((1, 0), (5, 1), (40, 3), (300, 0)):
        scene = gaussians(count, min(degree, FORMATS[suffix].sh_degree))
        if suffix in (".pt", ".pth"):
            files.append(checkpoint(scene))
        elif suffix == ".ksplat":
            files += [ksplat(scene, level) for level in range(3)]
        elif suffix == ".gltf":
            write(scene, folder / "valid.glb")
            files += gltf((folder / "valid.glb").read_bytes(), folder / f"valid{count}.bin")
        elif FORMATS[suffix].writes:
            write(scene, folder / f"valid{suffix}")
            files.append((folder / f"valid{suffix}").read_bytes())
    if suffix == "meta.json":
        files = files[-1:]  # whose pictures are those beside it
    if suffix == ".ply":
        files += [dialect(files[0], "ascii"), dialect(files[1], "binary_big_endian")]
    if data := os.environ.get("SPLAT_DATA"):
        samples = sorted((Path(data) / "splats").rglob(f"*{suffix}"), key=lambda path: path.stat().st_size)
        files += [path.read_bytes() for path in samples if path.stat().st_size < 60_000]
    return files


def dialect(ply: bytes, encoding: str) -> bytes:
    from plyfile import PlyData

    file, result = PlyData.read(io.BytesIO(ply)), io.BytesIO()
    file.text, file.byte_order = encoding == "ascii", "=" if encoding == "ascii" else ">"
    file.write(result)
    return result.getvalue()


def checkpoint(scene: Gaussians) -> bytes:
    """As gsplat saves it."""
    result = io.BytesIO()
    splats = {"means": scene.means, "scales": scene.log_scales, "quats": scene.quats, "sh0": scene.sh[:, :1].clone()}
    splats |= {"opacities": scene.opacity_logits, "shN": scene.sh[:, 1:].clone()}
    torch.save({"step": 1, "splats": torch.nn.ParameterDict(splats).state_dict()}, result)
    return result.getvalue()


def ksplat(scene: Gaussians, level: int) -> bytes:
    """One section with one full bucket of half the Gaussians and a partly filled one."""
    count, degree = len(scene), min(scene.sh_degree, 2)
    full = max(count // 2, 1)
    number = "<f4" if level == 0 else "<f2"
    kinds = [("position", "<u2" if level else "<f4", 3), ("scale", number, 3), ("rotation", number, 4)]
    table = np.zeros(
        count, [*kinds, ("rgba", "u1", 4), ("sh", "u1" if level == 2 else number, 3 * (degree + 1) ** 2 - 3)]
    )
    table["position"] = 30000 if level else scene.means
    table["scale"], table["rotation"], table["rgba"] = scene.scales, scene.quats, 100
    buckets = struct.pack("<I", count - full) + bytes(2 * 12) if level else b""
    section = struct.pack("<IIIIfH2xIIIIH", count, count, full, 2, 5.0, 12, 32767, 0, 1, 1, degree)
    if level == 0:
        section = struct.pack("<IIIIfH2xIIIIH", count, count, 0, 0, 0.0, 0, 0, 0, 0, 0, degree)
    header = struct.pack("<BB2xIIIIH14xff", 0, 1, 1, 1, count, count, level, -1.5, 1.5)
    return header.ljust(4096, b"\0") + section.ljust(1024, b"\0") + buckets + table.tobytes()


def gltf(data: bytes, beside: Path) -> list[bytes]:
    """A .glb's text with its bytes in it, and in a file beside it."""
    parts = opened(data)
    assert parts is not None
    text, binary = json.loads(parts.parts["json"]), parts.parts["bin"]
    beside.write_bytes(binary)
    files = []
    for uri in ("data:application/octet-stream;base64," + base64.b64encode(binary).decode(), beside.name):
        text["buffers"] = [{"byteLength": len(binary), "uri": uri}]
        files.append(json.dumps(text).encode())
    return files


# --- What is done to bytes ---


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One change of a few, most of them near the beginning, where headers are."""
    content = bytearray(data)

    def place(width: int = 1) -> int:
        limit = max(len(content) - width, 0)
        if rng.random() < 0.5:
            limit = min(limit, rng.choice((16, 64, 256, 2048, 8192)))
        start = rng.randint(0, limit)
        return start if rng.random() < 0.3 else start // width * width

    def span() -> slice:
        start = place()
        return slice(start, start + rng.choice((1, 2, 4, 8, 12, 16, 256, 1024)))

    kind = rng.randrange(12)
    if kind == 0:
        del content[rng.randint(0, len(content)) :]
    elif kind == 1 and content:
        for _ in range(rng.choice((1, 1, 2, 8))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 2 and content:
        content[place()] = rng.choice((0, 1, 2, 3, 4, 5, 127, 128, 254, 255, rng.randrange(256)))
    elif kind in (3, 4):
        width = rng.choice((2, 4, 4, 4, 8))
        value = rng.choice(EXTREMES) if rng.random() < 0.8 else rng.getrandbits(64)
        order = "little" if rng.random() < 0.85 else "big"
        start = place(width)
        content[start : start + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, order)
    elif kind == 5:
        start = place(4)
        content[start : start + 4] = struct.pack("<f", rng.choice(FLOATS))
    elif kind == 6:
        moved = bytes(content[span()])
        target = place()
        content[target : target + (len(moved) if rng.random() < 0.5 else 0)] = moved
    elif kind == 7:
        del content[span()]
    elif kind == 8:
        part = span()
        content[part] = bytes(len(content[part])) if rng.random() < 0.5 else rng.randbytes(part.stop - part.start)
    elif kind == 9:
        other = rng.choice(others)
        content[place() :] = other[rng.randint(0, len(other)) :]
    elif kind == 10 and len(content) >= 4:
        # A count often stands in several places, which are held against one another.
        start = place(4) // 4 * 4
        old, value = bytes(content[start : start + 4]), rng.choice(EXTREMES) & 0xFFFFFFFF
        if rng.random() < 0.5:
            value = (int.from_bytes(old, "little") * rng.choice((1, 2, 1000)) + rng.choice((-1, 0, 1))) & 0xFFFFFFFF
        for at in range(0, min(len(content), 8192) - 3, 4):
            if any(old) and content[at : at + 4] == old:
                content[at : at + 4] = value.to_bytes(4, "little")
    else:
        text_changed(content, rng)
    return bytes(content)


def text_changed(content: bytearray, rng: random.Random) -> None:
    """A number, a word or a line of a header in text."""
    end = min(len(content), 4096)
    lines = bytes(content[:end]).split(b"\n")
    kind = rng.randrange(4)
    if kind == 0:
        # Numbers that are words of their own are counts.
        if words := [match[0] for match in re.finditer(rb"(?<=[ :,])\d+(?=[\s,}\]])", bytes(content[:end]))]:
            old, new = rng.choice(words), rng.choice(NUMBERS).encode()
            pattern = rb"(?<=[ :,])" + old + rb"(?=[\s,}\]])"
            content[:end] = re.sub(pattern, new, bytes(content[:end]), count=rng.choice((0, 0, 1)))
        return
    if kind == 1:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    elif kind == 2:
        del lines[rng.randrange(len(lines))]
    else:
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    content[:end] = b"\n".join(lines)


def json_changed(content: bytes, rng: random.Random) -> bytes:
    """A value somewhere in it replaced, moved or left out."""
    root = [json.loads(content)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        holder: Any = root
        while True:
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            key = rng.choice(keys)
            if not isinstance(holder[key], dict | list) or not holder[key] or rng.random() < 0.15:
                break
            holder = holder[key]
        kind = rng.randrange(4)
        if kind == 0 and isinstance(holder, dict):
            del holder[key]
        elif kind == 1 and isinstance(holder, list) and holder is not root:
            holder.append(copy.deepcopy(rng.choice(holder)))
        elif kind == 2 and isinstance(holder[key], int | float):
            holder[key] = rng.choice((holder[key] + 1, holder[key] - 1, -holder[key], holder[key] * 1000, 1.5))
        else:
            holder[key] = copy.deepcopy(rng.choice(JSONS))
        if not isinstance(root[0], dict | list) or not root[0]:
            break
    return json.dumps(root[0]).encode("utf-8", "surrogatepass")


# --- Containers: parts out, changed, in again ---


@dataclass
class Container:
    """Named parts and what makes a file of them."""

    parts: dict[str, bytes]
    wrap: Callable[[dict[str, bytes]], bytes]


def opened(data: bytes) -> Container | None:
    """The parts of a valid file that has some."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
            compression = archive.infolist()[0].compress_type
        return Container(parts, lambda parts: zipped(parts.items(), compression))
    if data[:2] == b"\x1f\x8b":
        return Container({"": gzip.decompress(data)}, lambda parts: gzip.compress(parts[""], 1))
    if data[:4] == b"NGSP":
        return opened_spz4(data)
    if data[:4] == b"glTF":
        length = int.from_bytes(data[12:16], "little")
        start = 20 + length
        parts = {"json": data[20:start].rstrip(b" "), "bin": data[start + 8 :]}
        return Container(parts, lambda parts: glb(parts["json"], parts["bin"]))
    if data[:1] == b"{":
        return Container({"json": data}, lambda parts: parts["json"])
    return None


def zipped(members: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    result = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(result, "w", compression, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # names that come twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name[:60000]), content, compression)
    return result.getvalue()


def glb(text: bytes, binary: bytes) -> bytes:
    text = text.ljust(-(-len(text) // 4) * 4, b" ")
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def opened_spz4(data: bytes) -> Container:
    import zstandard

    (table,) = struct.unpack_from("<I", data, 16)
    sizes = struct.iter_unpack("<QQ", data[table : table + 16 * data[15]])
    parts, start = {"header": data[:table]}, table + 16 * data[15]
    for i, (packed, whole) in enumerate(sizes):
        parts[str(i)] = zstandard.ZstdDecompressor().decompress(data[start : start + packed], whole)
        start += packed

    def wrap(parts: dict[str, bytes]) -> bytes:
        header, *columns = parts.values()
        frames = [zstandard.ZstdCompressor(1).compress(column) for column in columns]
        sizes = [struct.pack("<QQ", len(f), len(c)) for f, c in zip(frames, columns, strict=True)]
        return b"".join([header, *sizes, *frames])

    return Container(parts, wrap)


def inner_mutated(container: Container, others: list[bytes], rng: random.Random) -> bytes:
    """A container with one of its parts changed, or with a member that has another name."""
    parts = dict(container.parts)
    name = rng.choice(list(parts))
    if len(parts) > 1 and rng.random() < 0.15:
        members = list(parts.items())
        i = rng.randrange(len(members))
        if "header" in parts or "json" in parts:
            j = rng.randrange(len(members))
            return container.wrap(parts | {members[i][0]: members[j][1]})
        members[i] = (rng.choice([*NAMES, *parts]), members[i][1])
        if rng.random() < 0.3:
            members.append(rng.choice(members))
        return zipped(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    if name.endswith("json") and rng.random() < 0.8:
        parts[name] = json_changed(parts[name], rng)
    else:
        for _ in range(rng.choice((1, 1, 2))):
            parts[name] = mutated(parts[name], [*parts.values(), *others], rng)
    return container.wrap(parts)


def bombs(files: list[bytes]) -> list[bytes]:
    """Files whose parts grow to BOMB_BYTES of zeros when they are unpacked."""
    found = []
    container = opened(files[-1]) if files else None
    if container is None or files[-1].startswith((b"glTF", b"{")):
        return []
    for name, part in [*container.parts.items()][:3]:
        bomb = container.parts | {name: part + bytes(BOMB_BYTES)}
        if files[-1][:2] == b"PK":
            found.append(zipped(bomb.items(), zipfile.ZIP_DEFLATED))
        elif name != "header":
            found.append(container.wrap(bomb))
    return found


class Cases:
    """The broken files of a format, by number."""

    def __init__(self, suffix: str, seed: int, folder: Path, *, with_bombs: bool = True) -> None:
        self.suffix, self.seed = suffix, seed
        self.files = valid_files(suffix, folder)
        self.containers = [container for file in self.files if (container := opened(file)) is not None]
        self.bombs = bombs(self.files) if with_bombs else []

    def __getitem__(self, number: int) -> bytes:
        rng = random.Random(f"{self.seed} {self.suffix} {number}")
        if self.bombs and rng.random() < 0.002:
            data = rng.choice(self.bombs)
        elif self.containers and rng.random() < 0.6:
            return inner_mutated(rng.choice(self.containers), self.files, rng)
        else:
            data = rng.choice(self.files)
        for _ in range(rng.choice((0, 1) if data in self.bombs else (1, 1, 1, 2, 4))):
            data = mutated(data, self.files, rng)
        return data


# --- What a case must give ---


class Peak:
    """How far this process' memory has risen."""

    def __init__(self) -> None:
        self.base = 0
        self.grown()

    def grown(self) -> int:
        """Bytes in use at most, since the last call that found more than a few MiB, beyond what was in use then."""
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - self.base
        if grown > 8 * MIB:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
                peak.write("5")
            self.base = _memory("VmRSS")
        return grown


def _memory(name: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def problem_of(path: Path, peak: Peak | None = None) -> tuple[str, str]:
    """How reading it ended ("scene", "error" or "failure"), and why that is one."""
    start, need = time.perf_counter(), path.stat().st_size
    try:
        scene = read(path)
        need += 2 * sum(tensor.numel() * 4 for tensor in scene.parameters().values())
        if not all(bool(tensor.isfinite().all()) for tensor in scene.parameters().values()):
            return "failure", "a scene with numbers that are not finite"
        ended = "scene"
    except SplatError as error:
        ended = "error"
        if len(str(error).splitlines()) != 1 or path.name not in str(error):
            return "failure", f"a message of more than a line, or without the file: {str(error)[:300]!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "failure", f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    if time.perf_counter() - start > SECONDS:
        return "failure", f"took {time.perf_counter() - start:.0f} s"
    if peak is not None and (grown := peak.grown()) > ALLOWANCE + need:
        return "failure", f"took {grown // MIB} MiB for {need:,} bytes of file and scene"
    return ended, ""


@dataclass
class Result:
    """What a format's cases came to."""

    cases: int = 0
    scenes: int = 0
    errors: int = 0
    seconds: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, number: int, ended: str, why: str) -> None:
        self.cases += 1
        self.scenes += ended == "scene"
        self.errors += ended == "error"
        if ended == "failure":
            self.failures.append({"case": number, "why": why})


def run_here(suffix: str, numbers: Iterable[int], seed: int, folder: Path) -> Result:
    """Reads cases in this process, without bombs and without looking at memory."""
    result, cases = Result(), Cases(suffix, seed, folder, with_bombs=False)
    path = folder / f"case{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            path.write_bytes(cases[number])
            result.add(number, *problem_of(path))
    return result


def _work(suffix: str, seed: int, folder: Path, first: int, last: int, counter: mmap.mmap, results: Any) -> None:
    """A child: reads cases, noting each one's number before, so that it is known if the process ends."""
    faulthandler.disable()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cases = Cases(suffix, seed, folder)
    path = folder / f"case{suffix}"
    for file in cases.files:  # What a first reading loads is no case's memory.
        path.write_bytes(file)
        ended, why = problem_of(path)
        if ended != "scene":
            print(f"a valid {suffix} file cannot be read: {why or ended}", file=sys.stderr)
            sys.exit(INVALID)
    now = _memory("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (now + (4 << 30), resource.RLIM_INFINITY))
    kept, peak = _files(folder), Peak()
    for number in range(first, last):
        counter[:8] = number.to_bytes(8, "little")
        path.write_bytes(cases[number])
        ended, why = problem_of(path, peak)
        if number % 256 == 0 and (left := _files(folder) - kept):
            ended, why = "failure", f"left files behind, here or up to 255 cases ago: {left}"
        results.send((number, ended, why))
    results.send(None)


def _files(folder: Path) -> set[str]:
    """All that is in a folder and in the two around it."""
    return {str(path) for path in folder.parents[1].rglob("*")}


def run(suffix: str, count: int, seed: int) -> Result:
    """Reads `count` cases in a child process, which is started again behind a case that ends it."""
    result, begun, first = Result(), time.perf_counter(), 0
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    around = Path(tempfile.mkdtemp(prefix="fuzz", dir=shared))
    folder = around / "around" / "cases"
    folder.mkdir(parents=True)
    counter = mmap.mmap(-1, 8)
    context = multiprocessing.get_context("fork")
    try:
        while first < count:
            counter[:8] = first.to_bytes(8, "little")
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=_work, args=(suffix, seed, folder, first, count, counter, sender))
            child.start()
            sender.close()
            hung = False
            while True:
                try:
                    if not receiver.poll(6 * SECONDS):
                        hung = True
                        child.kill()
                        break
                    if (message := receiver.recv()) is None:
                        break
                except EOFError:
                    break
                result.add(*message)
            child.join()
            at = int.from_bytes(counter[:8], "little")
            if child.exitcode == INVALID:
                sys.exit(INVALID)
            if child.exitcode == 0:
                break
            result.add(at, "failure", "hangs" if hung else f"ended the process: {child.exitcode}")
            first = at + 1
    finally:
        shutil.rmtree(around)
    result.seconds = time.perf_counter() - begun
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--cases", type=int, default=100_000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="read this one here, and keep its file")
    parser.add_argument("--json", type=Path, help="write what came of it there")
    options = parser.parse_args()
    if options.case is not None:
        for suffix in options.formats:
            folder = Path(tempfile.mkdtemp(prefix="fuzz"))
            path = folder / f"case{suffix}"
            path.write_bytes(Cases(suffix, options.seed, folder)[options.case])
            print(path)
            print(read(path))
        return
    found, failed = {}, False
    print("| format | cases | scenes | errors | failures | seconds | cases/s |\n|---|---|---|---|---|---|---|")
    for suffix in options.formats:
        result = run(suffix, options.cases, options.seed)
        found[suffix] = asdict(result)
        numbers = f"{result.cases:,} | {result.scenes:,} | {result.errors:,} | {len(result.failures):,}"
        print(f"| `{suffix}` | {numbers} | {result.seconds:.0f} | {result.cases / result.seconds:,.0f} |", flush=True)
        for why, times in Counter(str(failure["why"])[:90] for failure in result.failures).most_common(12):
            case = next(failure["case"] for failure in result.failures if str(failure["why"]).startswith(why[:90]))
            print(f"  {times} x {why} (such as case {case})", file=sys.stderr, flush=True)
        failed |= bool(result.failures)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(failed)


if __name__ == "__main__":
    main()
