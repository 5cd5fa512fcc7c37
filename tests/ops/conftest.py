"""Every test of the ops runs on each backend."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _on_each_backend(on_backend: None) -> None:
    pass
