"""The page's own script: it is in the page that the gate lets out, and a page that it does not fit stays as it was."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from importlib.resources import files

import pytest

from splat.viewer.inject import SCRIPT, packed_page, script


def test_the_script_runs_before_all_others_of_the_page() -> None:
    page = gzip.decompress(packed_page(b"<html><head><script>viser()</script></head></html>"))
    assert page.startswith(f'<html><head><script src="{SCRIPT}"></script><script>viser()'.encode())


def test_a_page_without_a_head_stays_as_it_is() -> None:
    assert gzip.decompress(packed_page(b"<p>something else")) == b"<p>something else"


def test_the_script_belongs_to_the_package() -> None:
    assert files("splat.viewer").joinpath("web/page.js").read_bytes() == script()


def test_the_script_is_javascript() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to check it with")
    command = [node, "--check", str(files("splat.viewer").joinpath("web/page.js"))]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
