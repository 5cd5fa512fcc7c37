"""The package as others get it: what it needs, what it says about itself, and that wheel and sdist are whole."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import unavailable

from splat.cli.main import COMMANDS
from splat.cli.needs import EXTRAS

ROOT = Path(__file__).resolve().parents[1]


def tracked() -> list[Path]:
    """The files under version control."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[Path, str]:
    """The tracked files that are text, this one left out since it names what it forbids."""
    found = {}
    for path in tracked():
        try:
            found[path] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    found.pop(Path(__file__).resolve(), None)
    return found


def pyproject(section: str) -> str:
    """The text of one section; tomllib is not in Python 3.10."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.split(f"[{section}]\n")[1].split("\n[")[0]


def normalized(requirement: str) -> str:
    return re.split(r"[\[<>=;\s]", requirement)[0].lower().replace("_", "-")


def extras() -> dict[str, list[str]]:
    """Extra -> its requirements, as written."""
    entries = re.findall(r"^(\w+) = \[(.*?)\]$", pyproject("project.optional-dependencies"), re.S | re.M)
    return {name: re.findall(r'"([^"]+)"', body) for name, body in entries}


def test_the_core_needs_torch_and_numpy_only() -> None:
    assert 'dependencies = ["torch>=2.10", "numpy"]' in pyproject("project")


def test_extras_are_what_the_commands_ask_for() -> None:
    for extra, packages in EXTRAS.items():
        assert set(packages.values()) <= {normalized(requirement) for requirement in extras()[extra]}
    wanted = {extra for _, needed in COMMANDS.values() for extra in needed}
    assert wanted <= set(extras())


def test_everything_that_may_be_installed_is_pinned() -> None:
    pinned = {"run": set(), "dev": set()}
    for name, found in pinned.items():
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        for line in lines:
            if not line.startswith("#"):
                assert re.fullmatch(r'[\w.-]+==[\w.]+( ; python_version (>=|<) "3.11")?', line), line
                found.add(normalized(line))
    required = {normalized(name) for names in extras().values() for name in names} - {"splatworks"}
    assert required <= pinned["run"] | pinned["dev"]
    assert {"torch", "numpy", "setuptools", "ninja", "wheel"} <= pinned["run"]


def test_nobody_is_sent_to_the_other_splat() -> None:
    sends = re.compile(r"pip install (?:-\w+ )*['\"]?splat(?!works)")
    assert not [path for path, text in texts().items() if sends.search(text)]


def test_no_place_of_one_machine_is_named() -> None:
    forbidden = re.compile("|".join(["pypi" + r"\.org", "registry" + r"\.npmjs", "deb" + r"\.debian", "/wo" + "rk/"]))
    assert not [path for path, text in texts().items() if forbidden.search(text)]


def test_make_says_what_it_can_do() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "check", "native", "venv", "clean"):
        assert f"make {target}" in said


def test_every_package_folder_has_its_init() -> None:
    for package in ("splat", "datasets", "viewer"):
        for folder in (ROOT / package).rglob("*.py"):
            assert (folder.parent / "__init__.py").is_file(), f"{folder.parent} would be left out of the wheel"


def build(target: Path, *commands: str) -> Path:
    """Builds a wheel or an sdist. All but the native objects, which are the tree's own, goes to `target`."""
    words = ["--quiet", "egg_info", "--egg-base", str(target), *commands, "--dist-dir", str(target / "dist")]
    command = [sys.executable, "setup.py", *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    (built,) = (target / "dist").iterdir()
    return built


@pytest.mark.slow
def test_the_wheel_is_whole_and_runs_where_nothing_else_of_us_is(tmp_path: Path) -> None:
    base = ["build", "--build-base", str(tmp_path / "build")]
    wheel = build(tmp_path, *base, "bdist_wheel", "--bdist-dir", str(tmp_path / "bdist"))
    assert re.fullmatch(r"splatworks-[\d.]+-py3-none-\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    for package, folder in {"splat": "splat", "splat/datasets": "datasets", "splat/viewer": "viewer"}.items():
        for path in tracked():
            own = path.suffix == ".py" or (path.parent == ROOT / "viewer/web" and path.suffix in (".html", ".js"))
            if own and path.is_relative_to(ROOT / folder):
                assert f"{package}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert "splat/py.typed" in names and any(name.startswith("splat/_native/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "datasets/", "viewer/")) or "/sample/" in name]
    # The page for phones is in it as it was bundled, with its licence, and nothing that it was bundled from.
    if not (ROOT / "splat/_web/page.html").exists():
        unavailable("node", "the page was not bundled: install Node.js, then `make web`")
    assert {"splat/_web/page.html", "splat/_web/LICENSE.txt"} <= names
    assert not [
        name for name in names if "node_modules" in name or "/phone/" in name or name.endswith((".json", ".mjs"))
    ]
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    text = (tmp_path / "installed" / metadata).read_text()
    assert "Name: splatworks" in text and "License-Expression: Apache-2.0" in text
    assert any(name.endswith("licenses/LICENSE") for name in names)
    # -P and -S aside, the editable install would come first; the path is put before it.
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if '__editable__' not in getattr(f, '__module__', '')]; "
        f"sys.path.insert(0, {str(tmp_path / 'installed')!r}); import splat, splat.viewer, splat.datasets.scene; "
        "from splat.native import describe; print(splat.__file__, splat.viewer.__file__, describe().isa)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    ours, viewer, isa = result.stdout.split()
    assert Path(ours).is_relative_to(tmp_path) and Path(viewer).is_relative_to(tmp_path) and isa


@pytest.mark.slow
def test_the_sdist_holds_what_a_build_needs(tmp_path: Path) -> None:
    sdist = build(tmp_path, "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = [path.relative_to(ROOT).as_posix() for path in tracked()]
    needed = [name for name in needed if name.startswith(("cuda/", "splat/", "viewer/", "datasets/"))]
    assert {*needed, "setup.py", "pyproject.toml", "LICENSE", "README.md"} <= names
