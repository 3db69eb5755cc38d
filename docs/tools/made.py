"""`made`: a picture or a text that a tutorial has made, or a word on how to make it where it is not there yet.

    ```{made} no-labels-2d/new.jpg
    Images beside masks that were drawn like their objects.
    ```

`make tutorials` runs the scripts and leaves what they made in tutorials/made.
"""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path("tutorials", "made")


class Made(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        words, place = " ".join(self.content), FOLDER / self.arguments[0]
        path = Path(self.env.srcdir) / place
        self.env.note_dependency(str(path))
        if not path.exists():
            missing = nodes.paragraph(text=f"{words} (Not drawn yet: make tutorials.)")
            return [nodes.container("", missing, classes=["made"])]
        if path.suffix == ".txt":
            text = path.read_text().rstrip()
            return [nodes.paragraph(text=words), nodes.literal_block(text, text, language="text")]
        image = nodes.image(uri=f"/{place.as_posix()}", alt=words)
        return [nodes.figure("", image, nodes.caption(text=words))]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("made", Made)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
