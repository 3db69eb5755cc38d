"""The viewer in a browser: labels in colours, their confidence in a list, a silent console, and nobody else is asked.

Needs `pip install 'cytoshift[view,browser]'` and Chromium on the path, whose SwiftShader draws without a graphics card.
"""

import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from cytoshift.cli.view import image_pyramids, label_layers, view
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import image_source
from cytoshift.data.write import write_image, write_labels
from predicting import nuclei

pytestmark = pytest.mark.slow
PATIENCE = 600  # seconds: software renderers on busy machines


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A volume with labels and their confidence."""
    here = tmp_path_factory.mktemp("view")
    image, labels = nuclei((24, 96, 96), 40, 0)
    voxel = Voxel((1.0, 0.4, 0.4), "um")
    write_image(here / "cells.tif", image, voxel, "zyx")
    write_labels(here / "labels.tif", labels, voxel, "zyx")
    rows = [f"cells,{number},{number / labels.max():.3f}" for number in np.unique(labels)[1:]]
    (here / "labels.trust.csv").write_text("\n".join(["image,label,confidence", *rows]) + "\n")
    return here


def coloured(path) -> float:
    """Share of pixels that are clearly of a colour."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=float)
    return float((pixels.max(-1) - pixels.min(-1) > 40).mean())


def browser() -> str:
    from cytoshift.view.server import BROWSERS

    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser on the path, looked for {', '.join(BROWSERS)}")
    return path


def test_labels_are_seen_the_console_is_silent_and_nobody_else_is_asked(cells):
    path = browser()
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not there: pip install 'cytoshift[browser]'"
    )
    from cytoshift.view.server import HEADLESS, Server

    layers = list(image_pyramids(image_source(str(cells / "cells.tif"))))
    layers += label_layers(image_source(str(cells / "labels.tif")), layers[0])
    said, asked, done = [], [], threading.Event()
    with Server(layers) as server, sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(HEADLESS[1:]), timeout=1000 * PATIENCE)
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        server.viewer.async_screenshot(lambda _: done.set())
        page.goto(server.url, timeout=1000 * PATIENCE)
        for _ in range(5 * PATIENCE):
            if done.is_set():
                break
            page.wait_for_timeout(200)
        page.get_by_text("total ids").wait_for(timeout=1000 * PATIENCE)
        page.screenshot(path=cells / "page.png", timeout=1000 * PATIENCE)
        listed = page.locator("body").inner_text()
        chromium.close()
    assert coloured(cells / "page.png") > 0.05
    assert "confidence" in listed and "labels labels.tif" in listed
    assert said == ["python state event source connected"]
    place = server.url.partition("/v/")[0]
    assert asked and [url for url in asked if not url.startswith((f"{place}/", "data:", "blob:"))] == []


def test_a_screenshot_needs_no_window_and_shows_what_the_image_alone_does_not(cells, capsys):
    browser()
    view(str(cells / "cells.tif"), screenshot=cells / "image.png")
    view(str(cells / "cells.tif"), [str(cells / "labels.tif")], screenshot=cells / "both.png")
    assert coloured(cells / "both.png") > coloured(cells / "image.png") + 0.05
    assert "both.png" in capsys.readouterr().out
