"""A picture of the report of `segment` for these pages: its head, the first images, and how far it is to be trusted.

    python docs/tools/screen.py demo/pred/report/report.html docs/pictures/report.jpg

Needs Chromium on the path and `pip install 'cytoshift[browser]'`.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZE = {"width": 1080, "height": 700}
KEPT = """
for (const one of document.querySelectorAll('main section')) {
    if (!['result', 'trust'].includes(one.id)) one.style.display = 'none';
}
for (const one of document.querySelectorAll('.viewers > :nth-child(n + 3)')) one.style.display = 'none';
for (const one of document.querySelectorAll('footer, .viewers + p')) one.style.display = 'none';
"""


def draw(report: Path, out: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chrome.new_page(viewport=SIZE)
        page.goto(report.resolve().as_uri())
        page.evaluate(KEPT)
        page.screenshot(path=out, full_page=True, type="jpeg", quality=85)
        chrome.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
