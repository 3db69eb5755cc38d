"""ImageJ ROIs in a zip, for the ROI Manager of ImageJ and Fiji."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...core.errors import UserError
from ...labels.outlines import Outline, outlines
from .label_series import LabelSeries, Plane, planes_of

if TYPE_CHECKING:
    from roifile import ImagejRoi

LARGEST_CORNER = 2**15 - 1  # of a ROI with whole numbers, which has 16 bits for them
EXACT_FLOATS = 2**24  # whole numbers that a float of 32 bits holds
MOVE, LINE, CLOSE = 0.0, 1.0, 4.0  # what a path of a composite ROI does


def refuse_rois(labels: LabelSeries) -> None:
    """Raises UserError where the library is missing, and for planes with more pixels than ROIs have places for."""
    try:
        import roifile  # noqa: F401
    except ImportError as error:
        raise UserError(
            "ImageJ ROIs are written with the package roifile; install it with: pip install 'cytoshift[formats]'"
        ) from error
    if max(labels.series.frames[0].shape[-2:]) > EXACT_FLOATS:
        raise UserError(
            f"{labels.name} is larger than the {EXACT_FLOATS} pixels of an ImageJ ROI; write GeoJSON instead"
        )


def write_rois(path: Path, labels: Sequence[LabelSeries]) -> None:
    """A zip of ROIs, named after the ids: 12.roi; of a stack 0003-12.roi, with the number of the slice, from 1.

    An object of one piece without holes is a traced polygon; others are composite ROIs. Corners are those of pixels, so
    the area that ImageJ measures is that of the object.
    """
    (one,) = labels
    with (
        atomic_path(path) as beside,
        zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out,
    ):
        for plane in planes_of(one.series):
            for outline in outlines(plane.labels):
                roi = to_roi(outline, plane)
                out.writestr(f"{roi.name}.roi", roi.tobytes())


def to_roi(outline: Outline, plane: Plane) -> "ImagejRoi":
    """An object of a plane as ImageJ has it."""
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    rings = [ring[:, ::-1] for part in outline.parts for ring in part]
    low, high = rings[0].min(0), rings[0].max(0)
    for ring in rings[1:]:
        low, high = np.minimum(low, ring.min(0)), np.maximum(high, ring.max(0))
    places = [number + 1 for number in (plane.t, plane.z) if number is not None]
    name = "-".join([*(f"{number:04d}" for number in places), str(outline.label)])
    roi = ImagejRoi(left=int(low[0]), top=int(low[1]), right=int(high[0]), bottom=int(high[1]), name=name)
    if len(places) == 1:  # a stack of ImageJ has one number for each plane, of slices or of frames
        roi.position = places[0]
    elif places:
        roi.t_position, roi.z_position = places
    if len(rings) == 1:
        roi.roitype, roi.n_coordinates = ROI_TYPE.TRACED, len(rings[0])
        roi.integer_coordinates = (rings[0] - low).astype(np.int32)
        if high.max() > LARGEST_CORNER:
            roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
            roi.subpixel_coordinates = rings[0].astype(np.float32)
    else:
        roi.roitype = ROI_TYPE.RECT
        roi.multi_coordinates = to_path(rings)
        roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def to_path(rings: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
    """Rings of corners (P, 2), x first, as the path of a composite ROI."""
    out, used = np.full(sum(3 * len(ring) + 1 for ring in rings), LINE, np.float32), 0
    for ring in rings:
        end = used + 3 * len(ring)
        out[used], out[end] = MOVE, CLOSE
        out[used + 1 : end : 3], out[used + 2 : end : 3] = ring[:, 0], ring[:, 1]
        used = end + 1
    return out
