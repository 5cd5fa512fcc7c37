"""No stage of a training step takes more instructions than were recorded, counted by callgrind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch
from conftest import unavailable

#: Other releases of the same compiler and other C libraries differ by less; a change worth a thought makes more.
TOLERANCE = 1.05

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def driver(instructions: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("valgrind") is None:
        unavailable("valgrind", "valgrind is not on PATH: instructions are not counted")
    program = tmp_path_factory.mktemp("driver") / "driver"
    instructions.build_driver(program)
    return program


@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_no_stage_takes_more_instructions_than_recorded(instructions: ModuleType, driver: Path, level: str) -> None:
    record = json.loads(instructions.RECORD.read_text(encoding="utf-8"))
    if instructions.compiler() != record["compiler"]:
        pytest.skip(
            f"the kernels are compiled by {instructions.compiler()}, the counts are those of {record['compiler']}"
        )
    if level == "avx2" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this CPU has no AVX2")
    counted = {stage.name: stage for stage in instructions.count(driver, level)}
    recorded = record["instructions_per_unit"][level]
    assert counted.keys() == recorded.keys()
    worse = [
        f"{name}: {stage.per_unit:.1f} instructions per {stage.unit}, not {recorded[name]}"
        for name, stage in counted.items()
        if stage.per_unit > TOLERANCE * recorded[name]
    ]
    assert not worse, f"{worse}; if it must be so: .venv/bin/python scripts/count_instructions.py --record"


def test_almost_everything_is_shared_among_threads(instructions: ModuleType, driver: Path) -> None:
    stages = instructions.count(driver, "baseline")
    for stage in stages:
        assert stage.serial < (0.3 if stage.name == "tiles" else 0.01) * stage.all, stage
    step = instructions.total(stages)
    assert step.serial < 0.02 * step.all
