"""The optional packages: which extra brings which, and the one line that installs what is missing."""

from __future__ import annotations

from importlib.util import find_spec

from splat.errors import SplatError

#: The modules each extra of pyproject.toml needs, by import name and package name. An extra includes "train".
EXTRAS: dict[str, dict[str, str]] = {
    "train": {
        "tyro": "tyro",
        "rich": "rich",
        "plyfile": "plyfile",
        "cv2": "opencv-python-headless",
        "PIL": "pillow",
        "tensorboard": "tensorboard",
        "matplotlib": "matplotlib",
        "scipy": "scipy",
        "imageio_ffmpeg": "imageio-ffmpeg",
        "zstandard": "zstandard",
    },
    "capture": {"pycolmap": "pycolmap"},
    "viewer": {"viser": "viser"},
}


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed, by package name."""
    return [package for module, package in EXTRAS[extra].items() if find_spec(module) is None]


def install_line(*extras: str) -> str:
    """The command that installs extras; they all include "train"."""
    named = [extra for extra in extras if extra != "train"] or ["train"]
    return f"pip install 'splatworks[{','.join(named)}]'"


def require(what: str, *extras: str) -> None:
    """Checks that the extras' packages are there.

    Args:
        what: the command or flag that needs them, for the message.

    Raises:
        SplatError: some are missing; it names the one line that installs them.
    """
    wanted = dict.fromkeys(["train", *extras] if extras else [])
    lacking = {extra: names for extra in wanted if (names := missing(extra))}
    if lacking:
        packages = ", ".join(name for names in lacking.values() for name in names)
        raise SplatError(f"{what} needs packages that are not installed ({packages}). Run: {install_line(*lacking)}")
