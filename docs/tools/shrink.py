"""A picture for a page: python shrink.py FROM.png TO.jpg. At most 800 pixels wide, as pages are."""

import sys
from pathlib import Path

from PIL import Image

WIDE = 800


def shrink(there: Path, here: Path) -> None:
    picture = Image.open(there).convert("RGB")
    picture.thumbnail((WIDE, 4 * WIDE))
    picture.save(here, quality=80, optimize=True)


if __name__ == "__main__":
    shrink(*map(Path, sys.argv[1:]))
