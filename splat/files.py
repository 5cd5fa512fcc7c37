"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splat.errors import SplatError


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


#: Read once: it can only be read by setting it, which two threads must not do at the same time.
UMASK = _umask()


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what was written there takes its place when the block ends well.

    When the block raises, Ctrl-C included, the temporary file is removed and `path` keeps what it held. Missing parent
    folders are made.

    Raises:
        SplatError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name's end stays, since writers choose the format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=f".{path.name}")
    except OSError as error:
        raise _write_error(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; give it what an ordinary open would have given.
        temporary.chmod(0o666 & ~UMASK)
        os.replace(temporary, path)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_error(path: Path, error: OSError) -> SplatError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SplatError(f"{path}: the disk is full; free some space or choose another folder")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SplatError(f"{path}: no permission to write there; choose another folder")
    return SplatError(f"{path}: cannot be written: {error.strerror or error}; choose another path")
