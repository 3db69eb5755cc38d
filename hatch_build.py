"""README.md as the page of the package on PyPI, where a relative link or picture leads nowhere.

With an address under `Repository` in `[project.urls]` of pyproject.toml they become absolute, at the tag of the
version; without one, links keep their text and pictures their caption.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!https?:|#|mailto:)(?P<path>[^)\s]+)\)")


class Page(MetadataHookInterface):
    """Writes the field `readme`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        found = re.search(r'^__version__ = "(.+)"', (Path(self.root) / "src/cytoshift/__init__.py").read_text(), re.M)
        assert found is not None, "the package states its version"
        address = metadata.get("urls", {}).get("Repository")
        metadata["readme"] = {"content-type": "text/markdown", "text": page(text, address, f"v{found[1]}")}


def page(text: str, repository: str | None, tag: str) -> str:
    """
    >>> page("See [docs](docs/index.md) and ![a cell](docs/a.png).", "https://example.org/cytoshift", "v1")
    'See [docs](https://example.org/cytoshift/blob/v1/docs/index.md) and ![a cell](https://example.org/cytoshift/raw/v1/docs/a.png).'
    >>> page("See [docs](docs/index.md) and ![a cell](docs/a.png).", None, "v1")
    'See docs and *a cell*.'
    """

    def absolute(link: re.Match[str]) -> str:
        if repository is None:
            return f"*{link['text']}*" if link["picture"] else link["text"]
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['text']}]({repository.rstrip('/')}/{kind}/{tag}/{link['path']})"

    return LINK.sub(absolute, text)
