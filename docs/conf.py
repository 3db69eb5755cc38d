"""Settings of the pages that `make docs` builds into docs/_build/html."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

import cytoshift

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "tools"))

project = "Cytoshift"
author = "the Cytoshift authors"
version = release = cytoshift.__version__
html_title = f"Cytoshift {version}"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["cytoshift.css"]
html_extra_path = ["generated/files"]
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_theme_options = {"source_repository": "", "footer_icons": []}

extensions = ["myst_parser", "mathml", "made"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "generated/parts"]
pygments_style, pygments_dark_style = "friendly", "github-dark"
nitpicky = True


def setup(app: Sphinx) -> None:
    # Reference, presets and citations are written from the code, before Sphinx asks what pages and files there are.
    import generate

    generate.write(HERE / "generated")
