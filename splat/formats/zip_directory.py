"""The directory of a zip file, which Python's reader makes objects of, all at once."""

from __future__ import annotations

import io
import zipfile

#: Every byte may become 20 of memory.
MAX_DIRECTORY_BYTES = 1 << 20


class DirectoryFile(io.FileIO):
    """A file that refuses to be read at once beyond what the directory of a zip of few members has."""

    def read(self, size: int | None = -1, /) -> bytes:
        here = self.tell()
        left = self.seek(0, io.SEEK_END) - here
        self.seek(here)
        size = left if size is None or size < 0 else min(size, left)
        if size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)
