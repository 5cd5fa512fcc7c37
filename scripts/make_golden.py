"""Makes the images in tests/golden anew. Look at them before you commit them: a test compares with them."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from golden_scenes import GOLDEN, golden_images


def main() -> None:
    for name, make in golden_images().items():
        path = GOLDEN / f"{name}.png"
        Image.fromarray(make().numpy()).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
