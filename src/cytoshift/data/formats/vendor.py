"""ND2, LIF and CZI through bioio's readers: the extra `formats`, and `czi`, whose reader is under the GPL."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import AXES, RGB, UNKNOWN, Picture, explain_read_errors, known_extent
from . import PictureRequest, select_series

# Without being told, these readers take all planes of a channel out of the file whatever is asked for.
PLANES: dict[str, dict[str, Any]] = {"czi": {"chunk_dims": ["Y", "X"]}, "lif": {"chunk_dims": ["Y", "X"]}}


@dataclass(frozen=True)
class VendorArray:
    """One scene. The reader is made anew for each read: readers are not safe to share between threads."""

    path: Path
    scene: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path):
            return np.asarray(self.dask_array()[region].compute(scheduler="synchronous"))

    @property
    def chunks(self) -> tuple[int, ...]:
        with explain_read_errors(self.path):
            return tuple(map(int, self.dask_array().chunksize))

    def dask_array(self) -> Any:
        """dask's view of the scene, by the planes that its reader takes out of the file."""
        reader = open_reader(self.path)
        reader.set_scene(self.scene)
        return reader.get_image_dask_data(reader.dims.order)


def open_pictures(request: PictureRequest) -> list[Picture]:
    """One picture per scene, or the scene whose number stands behind '::'."""
    reader = open_reader(request.path)
    scenes = reader.scenes
    chosen = select_series(request.path, request.part, len(scenes), "scene")
    return [picture(request.path, request.name, reader, scene, len(scenes)) for scene in chosen]


def open_reader(path: Path) -> Any:
    """bioio's reader of the suffix."""
    kind = path.suffix.lower()[1:]
    reader = importlib.import_module(f"bioio_{kind}").Reader
    exceptions = importlib.import_module("bioio_base.exceptions")
    try:
        return reader(path, **PLANES.get(kind, {}))
    except exceptions.UnsupportedFileFormatError as error:
        raise UserError(
            f"{path} does not hold a {kind.upper()} image, or is cut short; copy or save it again"
        ) from error


def calibrated_nd2(path: Path) -> str:
    """Axes whose voxel size an ND2 file knows; for the others its reader says 1."""
    with importlib.import_module("nd2").ND2File(path) as file:
        channels = getattr(file.metadata, "channels", None)
        known_axes = channels[0].volume.axesCalibrated if channels else (False, False, False)
    return "".join(a for a, is_known in zip("xyz", known_axes) if is_known)


def picture(path: Path, name: str, reader: Any, scene: int, count: int) -> Picture:
    reader.set_scene(scene)
    order = reader.dims.order.lower()
    axes = "".join(a if a in AXES else UNKNOWN for a in order)
    sizes = {a: known_extent(e) for a, e in zip("zyx", reader.physical_pixel_sizes)}
    extents = {a: e for a, e in sizes.items() if e and (path.suffix.lower() != ".nd2" or a in calibrated_nd2(path))}
    return Picture(
        array=VendorArray(path, scene, tuple(reader.shape), np.dtype(reader.dtype)),
        axes=axes,
        name=name if count == 1 else f"{name}_s{scene}",
        origin=f"{path}, scene {scene} of {count} ({reader.scenes[scene]})",
        extents=extents,
        units=dict.fromkeys(extents, "um"),
        channels=tuple(str(name) for name in reader.channel_names or ()),
        colours=RGB if "s" in axes else (),
    )
