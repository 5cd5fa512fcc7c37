"""`splat` itself: what it loads, what it says, and how it ends."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from splat.cli import needs
from splat.cli.main import COMMANDS, main
from splat.errors import SplatError

HEAVY = ("torch", "numpy", "tyro", "rich", "viser", "pycolmap", "cv2", "matplotlib")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["trian"]])
def test_answering_for_itself_loads_nothing_heavy(words: list[str]) -> None:
    result = python(
        f"import sys; from splat.cli.main import main; main({words!r}); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    assert result.stderr.splitlines()[-1] == "[]"


def test_the_help_of_no_command_waits_for_torch() -> None:
    result = python(
        "import sys; from splat.cli.main import COMMANDS, main\n"
        "for command in COMMANDS:\n"
        "    try: main([command, '--help'])\n"
        "    except SystemExit: pass\n"
        "    print(command, 'torch' in sys.modules, file=sys.stderr)"
    )
    assert result.stderr == "".join(f"{command} False\n" for command in COMMANDS)


def test_import_splat_loads_nothing_heavy() -> None:
    result = python(f"import sys, splat; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert result.stdout.strip() == "[]"


def test_help_names_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "splat train photos/ -o run --view" in text


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "doctor"])
def test_each_command_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0
    assert f"  splat {command} " in text.split("Examples:")[1]


def test_an_unknown_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rendr"]) == 2
    assert capsys.readouterr().err == "splat: There is no command 'rendr'; did you mean `splat render`?\n"


def test_a_wrong_flag_ends_with_2() -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["info", "scene.ply", "--jsno"])
    assert exit_.value.code == 2


def test_missing_extras_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(needs.EXTRAS, "train", {"no_such_module_a": "package-a", "tyro": "tyro"})
    monkeypatch.setitem(needs.EXTRAS, "viewer", {"no_such_module_b": "package-b"})
    assert main(["train", "photos"]) == 2
    assert capsys.readouterr().err == (
        "splat: splat train needs packages that are not installed (package-a). Run: pip install 'splatworks[train]'\n"
    )
    assert main(["view", "run"]) == 2
    assert capsys.readouterr().err.endswith("(package-a, package-b). Run: pip install 'splatworks[viewer]'\n")


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes `splat doctor` end in an error."""

    def run(arguments: object) -> None:
        raise error

    monkeypatch.setattr("splat.cli.doctor.main", run)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SplatError("scene.ply is cut short; get it again"), 2, "splat: scene.ply is cut short; get it again\n"),
        (KeyboardInterrupt(), 2, "splat: Stopped."),
        (OSError(errno.ENOSPC, "no space", "run/a.bin"), 2, "splat: run/a.bin: the disk is full; free some space"),
        (PermissionError(errno.EACCES, "denied", "run/a.bin"), 2, "splat: run/a.bin: permission denied"),
        (MemoryError(), 2, "splat: Out of memory: use smaller images (--downscale)"),
        (ZeroDivisionError("oh"), 1, "splat: An unexpected error, probably a fault in Splat (ZeroDivisionError: oh)"),
    ],
)
def test_every_end_is_one_sentence(
    error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert main(["doctor"]) == status
    output = capsys.readouterr()
    assert output.err.startswith(said) and output.err.count("\n") == 1
    assert not output.out


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, SplatError("no"))
    assert main(["doctor", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("SPLAT_DEBUG", "1")
    assert main(["doctor"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_native_library_says_how_to_build_it(tmp_path: Path) -> None:
    (tmp_path / "scene.ply").write_bytes(b"")
    result = python(
        "from pathlib import Path; from splat import native; from splat.cli import main, doctor; "
        f"native.PATH = Path({str(tmp_path / 'absent.so')!r}); "
        "doctor.main = lambda words: native.load(); raise SystemExit(main.main(['doctor']))"
    )
    assert result.returncode == 2
    assert result.stderr.startswith("splat: Splat's native library is not built") and "make native" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_any_command_in_one_sentence(number: signal.Signals) -> None:
    code = (
        "import sys, time; from splat.cli import main, doctor; "
        "doctor.main = lambda words: (print('ready', flush=True), time.sleep(60)); sys.exit(main.main(['doctor']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert errors.startswith("splat: Stopped.") and errors.count("\n") == 1


@pytest.mark.slow
def test_a_reader_that_stops_reading_is_no_error() -> None:
    command = f"{sys.executable} -m splat doctor --json | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.returncode == 0 and not result.stderr
