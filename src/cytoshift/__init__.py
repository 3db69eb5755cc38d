"""Cytoshift: segment microscopy that nobody has labelled, in 2D and 3D.

The names in `__all__` are the Python API. Each is fetched from its room when it is first asked for, so that
`import cytoshift` stays light.
"""

import os
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.errors import UserError as UserError
    from .data.volumes import open_labels as open_labels
    from .data.volumes import open_volumes as open_volumes
    from .data.write import write_labels as write_labels
    from .measure.estimate import estimate as estimate
    from .metrics.report import evaluate as evaluate
    from .model.segmenter import Segmenter
    from .predict.pipeline import segment as segment
    from .represent.bcd import bcd_watershed as bcd_watershed
    from .synth.phantoms import phantom as phantom
    from .train.fit import fit as fit

    load = Segmenter.load

# Large tensors in huge pages, if torch is told so before its first one: a network over large tiles is a tenth faster.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"

__all__ = [
    "UserError",
    "__version__",
    "bcd_watershed",
    "estimate",
    "evaluate",
    "fit",
    "load",
    "open_labels",
    "open_volumes",
    "phantom",
    "segment",
    "write_labels",
]

HOMES = {
    "UserError": ("core.errors", "UserError"),
    "bcd_watershed": ("represent.bcd", "bcd_watershed"),
    "estimate": ("measure.estimate", "estimate"),
    "evaluate": ("metrics.report", "evaluate"),
    "fit": ("train.fit", "fit"),
    "load": ("model.segmenter", "Segmenter.load"),
    "open_labels": ("data.volumes", "open_labels"),
    "open_volumes": ("data.volumes", "open_volumes"),
    "phantom": ("synth.phantoms", "phantom"),
    "segment": ("predict.run", "segment"),
    "write_labels": ("data.write", "write_labels"),
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; there are {', '.join(__all__)}")
    module, path = HOMES[name]
    return attrgetter(path)(import_module(f".{module}", __name__))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
