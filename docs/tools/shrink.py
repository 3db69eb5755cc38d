"""A picture for a page: python shrink.py FROM.png TO.png. At most 1200 pixels wide, 256 colours."""

import sys
from pathlib import Path

from PIL import Image

WIDE = 1200


def shrink(there: Path, here: Path) -> None:
    picture = Image.open(there).convert("RGB")
    picture.thumbnail((WIDE, 4 * WIDE))
    picture.quantize(256).save(here, optimize=True)


if __name__ == "__main__":
    shrink(*map(Path, sys.argv[1:]))
