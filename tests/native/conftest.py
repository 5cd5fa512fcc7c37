"""What the tests of native code share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def instructions() -> ModuleType:
    """scripts/count_instructions.py, which also builds the driver."""
    spec = importlib.util.spec_from_file_location("count_instructions", ROOT / "scripts/count_instructions.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
