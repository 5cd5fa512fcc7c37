"""What the page says of itself."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from splat.viewer.panels.statistics import memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it this way")
def test_memory_grows_by_what_is_held() -> None:
    def mebibytes() -> int:
        return int(re.sub(r"\D", "", memory().removesuffix(" MiB")))

    before = mebibytes()
    held = np.ones(64 << 20, dtype=np.uint8)
    assert 55 <= mebibytes() - before <= 80 and held.any()
