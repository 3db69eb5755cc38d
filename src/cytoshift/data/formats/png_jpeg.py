"""PNG and JPEG, which say their colours but no voxel size."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..orientation import apply_orientation
from ..picture import RGB, Picture, explain_read_errors
from . import PictureRequest

ORIENTATION = 274  # number of the EXIF tag

# Pillow's modes -> axes, dtype, colours. Pillow scales 2- and 4-bit gray to 8 bits; 16-bit colours are decoded apart.
MODES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "1": ("yx", "bool", ()),
    "L": ("yx", "uint8", ()),
    "I;16": ("yx", "uint16", ()),
    "I;16B": ("yx", "uint16", ()),
    "I": ("yx", "uint16", ()),  # what older Pillow calls a 16-bit gray PNG
    "LA": ("yxs", "uint8", ("gray",)),
    "RGB": ("yxs", "uint8", RGB),
    "RGBA": ("yxs", "uint8", RGB),
    "P": ("yxs", "uint8", RGB),
}
DEEP_PNG = {2: ("yxs", 3, RGB), 4: ("yxs", 2, ("gray",)), 6: ("yxs", 4, RGB)}  # by colour type, with 16 bits per sample


@dataclass(frozen=True)
class PngJpegArray:
    """A PNG or JPEG; the format can only be decoded whole."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    mode: str  # of Pillow to convert to, or "deep" for 16-bit colours, which Pillow would cut to 8 bits

    @property
    def chunks(self) -> tuple[int, ...]:
        return self.shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        from PIL import Image

        with explain_read_errors(self.path):
            if self.mode == "deep":
                import imagecodecs

                data = np.asarray(imagecodecs.png_decode(self.path.read_bytes()))
            else:
                with Image.open(self.path) as image:
                    data = np.asarray(image if image.mode == self.mode else image.convert(self.mode))
            return data.reshape(self.shape).astype(self.dtype, copy=False)[region]


def open_pictures(request: PictureRequest) -> list[Picture]:
    """A PNG or JPEG from its header. The colours of a palette count; of labels, the palette's indices are the ids."""
    from PIL import Image, UnidentifiedImageError

    path, name, labels = request.path, request.name, request.labels
    if labels and path.suffix.lower() != ".png":
        raise UserError(f"labels in {path} were saved as JPEG, which changes numbers; save them as PNG or TIFF")
    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
            orientation = orientation_of(path, image)
    except UnidentifiedImageError:
        raise UserError(f"{path} does not hold a PNG or JPEG image; copy or save it again") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path} is too large for a PNG or JPEG; save it as tiled TIFF or OME-Zarr") from None
    header = path.read_bytes()[:26]
    deep = DEEP_PNG.get(header[25]) if header[:4] == b"\x89PNG" and header[24] == 16 else None
    if deep is not None:
        axes, samples, colours = deep
        array = PngJpegArray(path, (height, width, samples), np.dtype(np.uint16), "deep")
    elif labels and mode == "P":
        axes, colours = "yx", ()
        array = PngJpegArray(path, (height, width), np.dtype(np.uint8), "P")
    elif mode in MODES:
        axes, dtype, colours = MODES[mode]
        decoded = "RGB" if mode == "P" else mode
        shape = (height, width, len(decoded)) if axes == "yxs" else (height, width)
        array = PngJpegArray(path, shape, np.dtype(dtype), decoded)
    else:
        raise UserError(f"{path} has the colour mode {mode}; save it as gray or RGB")
    return [apply_orientation(Picture(array, axes, name, str(path), colours=colours), orientation)]


def orientation_of(path: Path, image: Any) -> int:
    """The orientation that EXIF metadata declare; 1 where there are none, or none that can be read."""
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load((chunk_of(path, b"eXIf") if image.format == "PNG" else image.info.get("exif")) or b"")
        found = exif.get(ORIENTATION, 1)
    except (SyntaxError, ValueError, struct.error, LookupError, OSError):
        return 1
    return found if isinstance(found, int) else 1


def chunk_of(path: Path, kind: bytes) -> bytes | None:
    """The content of a PNG's first chunk of a kind. Pillow decodes the whole image to find one behind the pixels."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            (length,) = struct.unpack(">I", head[:4])
            if head[4:] == kind:
                return file.read(length)
            file.seek(length + 4, 1)
    return None
