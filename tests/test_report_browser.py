"""Pages in a browser: they open without a word on the console and without asking anybody, and the slider moves.

Needs Chromium on the path and `pip install 'cytoshift[browser]'`.
"""

import shutil

import pytest

from cytoshift.core.voxel import Voxel
from cytoshift.data.write import write_image, write_labels
from predicting import nuclei, segmenter
from test_report import results_of_bench, run_folder

pytestmark = pytest.mark.slow
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not there: pip install 'cytoshift[browser]'"
    )
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser on the path, looked for {', '.join(NAMES)}")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    from cytoshift.cli import evaluate, segment, trust
    from cytoshift.report import write_report

    here = tmp_path_factory.mktemp("pages")
    voxel = Voxel((1.0, 0.5, 0.5), "um")
    model = segmenter(3, size=voxel.size, unit="um").save(here / "model")
    write_image(here / "s.tif", nuclei((10, 40, 40), 8, 0)[0], voxel, "zyx")
    write_labels(here / "t.tif", nuclei((10, 40, 40), 8, 0)[1], voxel, "zyx")
    segment.segment(model, [str(here / "s.tif")], here / "out", quiet=True)
    trust.trust(str(here / "out"), [str(here / "s.tif")], model, quiet=True)
    evaluate.evaluate([str(here / "t.tif"), str(here / "out" / "s.tif")], out=here / "evaluation.html", quiet=True)
    return {
        "training": write_report(run_folder(here / "run")), "segmentation": here / "out" / "report" / "report.html",
        "benchmark": write_report(results_of_bench(here / "bench")), "evaluation": here / "evaluation.html",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["training", "segmentation", "benchmark", "evaluation"])
@pytest.mark.parametrize("wide", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_in_silence_and_fits_the_screen(browser, pages, kind, wide, scheme):
    said, asked = [], []
    page = browser.new_page(viewport={"width": wide, "height": 800}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[kind].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    assert said == [] and [url for url in asked if not url.startswith(("data:", "file:"))] == []
    broken = page.evaluate("[...document.images].filter(i => i.checkVisibility() && !i.naturalWidth).length")
    assert broken == 0
    page.close()


def test_the_slider_moves_the_plane_by_mouse_and_by_keys(browser, pages):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(pages["segmentation"].as_uri())
    shown = "[...document.querySelectorAll('.frame')].filter(f => !f.hidden).map(f => f.dataset.words)"
    (before,) = page.evaluate(shown)
    slider = page.get_by_label("Plane")
    slider.focus()
    page.keyboard.press("ArrowRight")
    (after,) = page.evaluate(shown)
    assert before.startswith("plane 6 of 10") and after.startswith("plane 7 of 10")
    assert slider.get_attribute("aria-valuetext") == after
    page.keyboard.press("Home")
    assert page.evaluate(shown)[0].startswith("plane 1 of 10")
    slider.fill("9")
    assert page.evaluate(shown)[0].startswith("plane 10 of 10")
    page.close()


def test_layers_can_be_switched_without_a_mouse(browser, pages):
    page = browser.new_page()
    page.goto(pages["segmentation"].as_uri())
    visible = lambda name: page.evaluate(f"document.querySelector('.frame:not([hidden]) .{name}').checkVisibility()")
    assert visible("outlines") and not visible("confidence")
    for name in ("outlines", "confidence"):
        page.get_by_label(name, exact=True).focus()
        page.keyboard.press("Space")
    assert not visible("outlines") and visible("confidence")
    page.close()


def test_a_text_is_copied(browser, pages):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(pages["training"].as_uri())
    page.get_by_role("button", name="Copy the citation yao2021adgan").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("@article{yao2021adgan")
    context.close()


def test_without_scripts_the_page_still_shows_a_plane(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["segmentation"].as_uri())
    assert page.locator(".frame:visible").count() == 1 and page.locator("button:visible").count() == 0
    context.close()
