"""Equations as MathML, which browsers draw by themselves: no script, no font and no picture is loaded.

MathJax would have to be fetched or carried along (megabytes), and pictures need a TeX installation to be built.
"""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# Those that the converter passes on as text, wrongly.
UNKNOWN = re.compile(r"\\begin\{(?!align\*|cases|pmatrix)|\\label|\\tag")


def inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(drawn(node.astext(), "inline"))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="equation" role="math" tabindex="0">{drawn(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def drawn(latex: str, display: str) -> str:
    """Raises ValueError where the converter would pass TeX on to the reader."""
    if found := UNKNOWN.search(latex):
        raise ValueError(f"'{found.group()}' is not drawn; write the equation with align*, cases or pmatrix: {latex}")
    mathml = str(convert(latex, display=display))
    if left := re.search(r"<m[io]>(&|\\\w+)</m[io]>", mathml):
        raise ValueError(f"'{left.group(1)}' is not drawn in {latex}")
    return mathml


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
