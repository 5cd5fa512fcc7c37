"""`splat <command>`: finds the command, imports it alone, and turns whatever goes wrong into one plain sentence.

Nothing heavy is imported here, so that `splat --help` answers at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from splat.cli.needs import require
from splat.errors import SplatError

#: What each command does, and the extras without which it can do nothing.
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "capture": ("photos or a video -> cameras and points (COLMAP's layout)", ("capture",)),
    "train": ("photos or a capture -> scene", ("train",)),
    "eval": ("held-out PSNR and SSIM of a run, and its report", ("train",)),
    "render": ("run or scene file -> video or pictures", ("train",)),
    "export": ("run or scene file -> small file or page for phones and other viewers, compared", ("train",)),
    "convert": ("scene file -> another format", ("train",)),
    "view": ("run or scene file in the browser", ("viewer",)),
    "serve": ("exported files for browsers here, or by QR code for phones", ("train",)),
    "info": ("what is in a scene file", ("train",)),
    "doctor": ("what works on this machine, and why not", ()),
}
EXAMPLES = """\
From photos to a scene in the browser:
  splat train photos/ -o run --view
Step by step:
  splat capture photos/ -o scene
  splat train scene -o run --iterations 7000 --downscale 2
  splat eval run
  splat render run --path orbit -o orbit.mp4
  splat export run scene.html
  splat view run"""

#: Exit statuses: the user can mend it, or stopped it; the fault is ours.
STOPPED, FAULT = 2, 1

OUT_OF_MEMORY = "Out of memory: use smaller images (--downscale) or fewer Gaussians (--max-gaussians)."
#: What the operating system says when there is no room or no permission, in words.
OS_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place with -o",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another place with -o",
    errno.EFBIG: "the file would be larger than this system allows; choose another place with -o",
    errno.EACCES: "permission denied; choose a place you may write to, or ask for the rights",
    errno.EPERM: "permission denied; choose a place you may write to, or ask for the rights",
    errno.EROFS: "it is on a read-only disk; choose another place with -o",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: 0 for done, STOPPED or FAULT.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or bool(os.environ.get("SPLAT_DEBUG"))
    words = [word for word in words if word != "--debug"]
    try:
        with _terminate_like_interrupt(), _plain_warnings():
            return _dispatch(words)
    except SplatError as error:
        return _fail(str(error), STOPPED, debug)
    except KeyboardInterrupt:
        return _fail("Stopped. Nothing half-written was left behind.", STOPPED, debug)
    except BrokenPipeError:
        # Whoever read our output has had enough (`splat info … | head`); Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        if error.errno not in OS_REASONS:
            return _fault(error, debug)
        return _fail(f"{error.filename or 'The output'}: {OS_REASONS[error.errno]}.", STOPPED, debug)
    except ImportError as error:
        # One without a module's name was raised by hand, by splat.native, and says what to do.
        return _fault(error, debug) if error.name else _fail(str(error), STOPPED, debug)
    except Exception as error:
        # torch's own, for a GPU's memory, is known by its name alone: torch may not have been imported.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return _fail(OUT_OF_MEMORY, STOPPED, debug)
        return _fault(error, debug)


def _dispatch(words: list[str]) -> int:
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        from splat import __version__

        print(f"splat {__version__} (distribution splatworks)")
        return 0
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean `splat {near[0]}`?" if near else f"there are {', '.join(COMMANDS)}."
        raise SplatError(f"There is no command {name!r}; {hint}")
    require(f"splat {name}", *COMMANDS[name][1])
    return import_module(f"splat.cli.{name}").main(words[1:]) or 0


def _help() -> str:
    lines = ["usage: splat <command> [options]        splat <command> --help says more", ""]
    lines += ["Photos to 3D Gaussian Splatting scenes, on any machine.", ""]
    lines += [f"  {name:8} {summary}" for name, (summary, _) in COMMANDS.items()]
    lines += ["", *EXAMPLES.splitlines(), ""]
    lines += ["--json on a command that reports prints one JSON object on stdout, everything else on stderr.", ""]
    lines += ["--version prints the version; --debug (or SPLAT_DEBUG=1) shows the traceback of an error."]
    return "\n".join(lines)


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that temporary files are removed. Signals belong to the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """A warning is one sentence on stderr, without the line of code it came from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        yield


def _fail(sentence: str, status: int, debug: bool) -> int:
    if debug:
        _traceback()
    print(f"splat: {sentence}", file=sys.stderr)
    return status


def _fault(error: Exception, debug: bool) -> int:
    """An error nobody foresaw."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    how = "" if debug else " Run it again with --debug for the traceback."
    return _fail(
        f"An unexpected error, probably a fault in Splat ({what}).{how} "
        "Please report it with the traceback, the command and what `splat doctor` prints.",
        FAULT,
        debug,
    )


def _traceback() -> None:
    import traceback

    traceback.print_exc()
