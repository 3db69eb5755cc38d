"""Labels as other programs open them: ImageJ ROIs, GeoJSON for QuPath, COCO, Cell Tracking Challenge, TIFF, OME-Zarr.

One rule for all: places are pixels of the finest level, x to the right and y down, the corner of the first pixel is
(0, 0). Formats of planes have a record for each slice that an object is in. Areas are exact.
"""

from .formats import FORMATS as FORMATS
from .formats import Format as Format
from .formats import place_of as place_of
from .formats import refuse_unwritable as refuse_unwritable
from .formats import write_format as write_format
from .planes import LabelSeries as LabelSeries
