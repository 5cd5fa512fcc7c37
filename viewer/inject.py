"""The page's own script, `web/page.js`: put into viser's page on its way out, before viser's own code.

It adds what viser's Python interface has no words for. Where it finds viser other than it knows it, each of its parts
stays away by itself, and the page is as viser made it.
"""

from __future__ import annotations

import gzip
from functools import cache, lru_cache
from pathlib import Path

#: Where the page finds the script, and asks how the server is.
SCRIPT, STATE = "/splat/page.js", "/splat/state"
_TAG = f'<script src="{SCRIPT}"></script>'.encode()


@cache
def script() -> bytes:
    """The script's text."""
    return (Path(__file__).parent / "web" / "page.js").read_bytes()


@lru_cache(1)
def packed_page(html: bytes) -> bytes:
    """viser's page with our script as the first that runs, gzipped; a page without a head stays as it is."""
    before, head, after = html.partition(b"<head>")
    return gzip.compress(before + head + _TAG + after if head else html)
