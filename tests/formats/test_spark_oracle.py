"""What is written, as Spark reads it in a browser: the renderer of many web pages, on three.js."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from browser import launched
from conftest import unavailable
from made_up import made_up_scene

from splat.formats import read, write
from splat.gaussians import SH_C0

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.slow

MODULES = Path(__file__).resolve().parents[1] / "oracles" / "node_modules"
#: A site that is nowhere: everything is answered from MODULES.
SITE = "http://oracle.test/"
IMPORTS = {
    "three": "/three/build/three.module.js",
    "three/addons/": "/three/examples/jsm/",
    "spark": "/@sparkjsdev/spark/dist/spark.module.js",
}
PAGE = f"""<!doctype html><script type="importmap">{json.dumps({"imports": IMPORTS})}</script>
<script type="module">
import {{ ExtSplats }} from "spark";
window.load = async (base64, fileName) => {{
  const fileBytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const splats = await new ExtSplats({{ fileBytes, fileName }}).initialized;
  const rows = [];
  splats.forEachSplat((index, center, scales, quat, opacity, color) =>
    rows.push([...center, ...scales, ...quat, opacity, color.r, color.g, color.b]));
  return rows;
}};
</script>"""
KINDS = {".js": "text/javascript", ".wasm": "application/wasm"}


@pytest.fixture(scope="module")
def spark() -> Iterator[Page]:
    if not (MODULES / "@sparkjsdev").is_dir():
        unavailable("node", "other people's readers are not installed: npm ci --prefix tests/oracles")

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(SITE)
        if not path:
            route.fulfill(body=PAGE, content_type="text/html")
        elif (MODULES / path).is_file():
            route.fulfill(path=MODULES / path, content_type=KINDS.get(Path(path).suffix))
        else:
            route.fulfill(status=404)

    with launched() as browser:
        page = browser.new_page()
        page.route("**/*", answer)
        page.goto(SITE)
        page.wait_for_function("() => 'load' in window", timeout=60_000)
        yield page


def seen(page: Page, path: Path) -> torch.Tensor:
    """[N, 14] of each Gaussian: centre, scales, quaternion xyzw, opacity and colour."""
    content = base64.b64encode(path.read_bytes()).decode()
    rows: Any = page.evaluate("([content, name]) => window.load(content, name)", [content, path.name])
    return torch.tensor(rows)


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".splat", ".spz", ".sog"])
def test_spark_reads_what_is_written(spark: Page, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scene{suffix}"
    write(made_up_scene(), path)
    ours, theirs = read(path), seen(spark, path)
    assert len(theirs) == len(ours)
    # SPZ is stored turned about x, and Spark leaves it so.
    flip = torch.tensor([1.0, -1, -1]) if suffix == ".spz" else torch.ones(3)
    torch.testing.assert_close(theirs[:, :3] * flip, ours.means, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(theirs[:, 3:6].log(), ours.log_scales, rtol=0, atol=0.01)
    quats = torch.nn.functional.normalize(ours.quats, dim=1)[:, [1, 2, 3, 0]]
    turned = theirs[:, 6:10] * torch.cat([flip, torch.ones(1)])
    assert (turned * quats).sum(1).abs().min() > 0.9995
    torch.testing.assert_close(theirs[:, 10], ours.opacities, rtol=0, atol=2e-3)
    torch.testing.assert_close(theirs[:, 11:], 0.5 + SH_C0 * ours.sh[:, 0], rtol=0, atol=2e-3)
