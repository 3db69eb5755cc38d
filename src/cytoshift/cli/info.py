"""`cytoshift info`: what would be read from these files, before anything is done with it."""

import os
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import inputs
from .console import conclude, say, table_cell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from ..data.volumes import Volume

PLANE_BYTES = 1.5e9  # bytes that a plane may take while it is read
ROWS = 12  # images listed, and shown, of a long folder


def info(
    images: inputs.Images,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    labels: Annotated[bool, typer.Option("--labels", help="Read object ids instead of intensities.")] = False,
    output: Annotated[Path, typer.Option("-o", "--out", help="File of the thumbnail.")] = Path("thumbnail.png"),
    overwrite: inputs.Overwrite = False,
    as_json: inputs.Json = False,
) -> None:
    """Print how images are read (axes, voxel size, type, channels by name, wells), and write a thumbnail.

    Without --channel, all channels that a file declares are shown.
    """
    from rich.console import Console

    from ..core.lock import lock_outputs
    from ..core.provenance import refuse_foreign_files
    from ..data.describe import with_all_channels
    from ..data.input_files import refuse_inputs
    from ..data.volumes import image_source, open_labels, open_volumes
    from ..draw import png_path, save_png

    source = image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad)
    output = png_path(output)
    refuse_inputs([output], [None if labels else source], labels=[source if labels else None])
    refuse_foreign_files([output], overwrite)
    volumes = open_labels(source) if labels else open_volumes(with_all_channels(source))
    views = [MiddlePlane(volume, labels) for volume in volumes[:ROWS]]
    if not as_json:
        console = Console(highlight=False)
        console.print(describe_one(volumes[0], views[0]) if len(volumes) == 1 else describe_many(volumes, views))
    for sentence in filter(None, (view.why_not for view in views)):
        say(f"not looked at: {sentence}", err=as_json)
    thumbnail = picture_of(views)
    with lock_outputs(output):
        refuse_foreign_files([output], overwrite)
        picture = save_png(output, thumbnail)
    listed = [as_numbers(volume, view) for volume, view in zip_longest(volumes, views)]
    conclude(as_json, f"thumbnail {picture}", verb="info", count=len(volumes), images=listed, thumbnail=picture)


def as_numbers(volume: "Volume", view: "MiddlePlane | None") -> dict[str, Any]:
    """Everything about one image for a program. range: of the middle plane, null where it was not looked at."""
    seen = None if view is None or view.why_not else [float(end) for end in view.ends]
    return {
        "name": volume.name, "from": volume.origin, "well": volume.well or None, "axes": volume.axes,
        "shape": list(volume.shape), "voxel": list(volume.voxel.size), "unit": volume.voxel.unit,
        "channels": volume.channels, "channel_names": list(volume.channel_names), "type": str(volume.dtype),
        "range": seen, "bytes": volume.array.nbytes,
    }  # fmt: skip


class MiddlePlane:
    """The middle plane of a volume; nothing else of it is read, and nothing of one whose pieces do not fit.

    why_not: the sentence that says so.
    """

    def __init__(self, volume: "Volume", labels: bool) -> None:
        from ..core.errors import UserError
        from ..data.lazy import refuse_pieces
        from ..data.planes import plane_of

        self.name, self.labels, self.why_not = volume.name, labels, ""
        try:
            refuse_pieces(volume.array, volume.origin, PLANE_BYTES, allow="")
        except UserError as error:
            self.why_not = str(error)
            return
        self.plane, self.voxel = plane_of(volume)
        self.step = round(self.voxel.size[-1] / volume.voxel.size[-1])

    @property
    def range(self) -> str:
        if self.why_not:
            return "not looked at"
        thinned = f" in every {self.step}th pixel" if self.step > 1 else ""
        low, high = self.ends
        empty = f", {self.missing:.0%} of it without data" if self.missing else ""
        return f"{low:g} to {high:g}{thinned}{empty}"

    @property
    def ends(self) -> "tuple[float, float]":
        """Smallest and largest value of the plane; 0 where there are no data."""
        from ..core.no_data import known_values

        known = known_values(self.plane.ravel())
        return (known.min(), known.max()) if known.size else (0.0, 0.0)

    @property
    def missing(self) -> float:
        """Share of the plane that is NaN."""
        from ..core.no_data import known_values

        return 1 - known_values(self.plane.ravel()).size / self.plane.size

    def picture(self, size: int) -> "NDArray[np.uint8]":
        import numpy as np

        from ..draw import colour_labels, composite

        if self.why_not:
            return np.zeros((size, size, 3), np.uint8)
        if self.labels:
            return colour_labels(self.plane, self.voxel, size=size)
        return composite(self.plane.reshape(-1, *self.plane.shape[-2:]), self.voxel, size=size)


def describe_one(volume: "Volume", view: MiddlePlane) -> "Table":
    """Everything about one image, a line each."""
    from rich.table import Table

    extent = " x ".join(f"{n * s:.4g}" for n, s in zip(volume.shape, volume.voxel.size))
    channels = list_channels(volume)
    plane = "" if volume.axes == "yx" else " in the middle plane"
    table = Table(show_header=False, box=None)
    for name, value in (
        ("image", volume.name),
        ("from", volume.origin),
        ("axes", f"{volume.axes}, {' x '.join(map(str, volume.shape))} voxels"),
        ("voxel", f"{volume.voxel}, all of it {extent} {volume.voxel.unit}"),
        *((("channels", channels),) if channels else ()),
        *((("well", volume.well),) if volume.well else ()),
        ("type", f"{volume.dtype}, {view.range}{plane}"),
        ("memory", f"{volume.array.nbytes / 2**20:.3g} MiB"),
    ):
        table.add_row(name, table_cell(value, overflow="fold"))
    return table


def list_channels(volume: "Volume") -> str:
    """The channels of its file by number and name; "" of a single one without a name."""
    names = volume.channel_names or ("",) * volume.channels
    return ", ".join(f"{i} {name}".strip() for i, name in enumerate(names)) if len(names) > 1 or names[0] else ""


def describe_many(volumes: list["Volume"], views: list[MiddlePlane]) -> "Table":
    """A row per image, the first ROWS of them."""
    from rich.table import Table

    left = len(volumes) - len(views)
    folder = f"{Path(volumes[0].origin).parent}{os.sep}"
    folder = folder if all(volume.origin.startswith(folder) for volume in volumes) else ""
    wells = len({volume.well for volume in volumes if volume.well})
    title = f"{len(volumes)} images" + (f" of {wells} wells" if wells else "") + (f" in {folder}" if folder else "")
    named = any(map(list_channels, volumes[:ROWS]))
    table = Table(title=table_cell(title), caption=f"and {left} more" if left else None)
    for column in ("image", "axes", "voxels", "voxel size", *(["channels"] * named), "type", "values", "from"):
        table.add_column(column, overflow="fold")
    for volume, view in zip(volumes, views):
        size = " x ".join(map(str, volume.shape))
        channels = [list_channels(volume)] if named else []
        cells = (volume.name, volume.axes, size, str(volume.voxel), *channels, str(volume.dtype), view.range)
        table.add_row(*(table_cell(cell) for cell in (*cells, volume.origin.removeprefix(folder))))
    return table


def picture_of(shown: list[MiddlePlane]) -> "NDArray[np.uint8]":
    """One large thumbnail, or a sheet of small ones."""
    from ..draw import image_grid

    if len(shown) == 1:
        return shown[0].picture(512)
    rows = [shown[i : i + 4] for i in range(0, len(shown), 4)]
    pictures = [[view.picture(240) for view in row] + [None] * (4 - len(row)) for row in rows]
    captions = [[view.name for view in row] + [""] * (4 - len(row)) for row in rows]
    return image_grid(pictures, captions=captions)
