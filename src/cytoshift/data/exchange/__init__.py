"""Labels as other programs open them: ImageJ ROIs, GeoJSON for QuPath, COCO, Cell Tracking Challenge, TIFF, OME-Zarr.

One rule for all: places are pixels of the finest level, x to the right and y down, the corner of the first pixel is
(0, 0). Formats of planes have a record for each slice that an object is in. Areas are exact.
"""

from .exchange_formats import FORMATS as FORMATS
from .exchange_formats import Format as Format
from .exchange_formats import place_of as place_of
from .exchange_formats import refuse_unwritable as refuse_unwritable
from .exchange_formats import write_format as write_format
from .label_series import LabelSeries as LabelSeries
