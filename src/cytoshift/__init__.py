"""Cytoshift: segment microscopy that nobody has labelled, in 2D and 3D.

The names in `__all__` are the Python API. Each is fetched from its room when it is first asked for, so that
`import cytoshift` stays light; type checkers see the imports below.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Segmenter as Segmenter
    from .api import fit as fit
    from .api import load as load
    from .api import recipe as recipe
    from .api import segment as segment
    from .api import train as train
    from .api_judge import evaluate as evaluate
    from .api_judge import trust as trust
    from .api_run import run as run
    from .core.errors import UserError as UserError
    from .core.voxel import Voxel as Voxel
    from .data.volumes import ImageSource as ImageSource
    from .data.volumes import Volume as Volume
    from .data.volumes import open_labels as open_labels
    from .data.volumes import open_volumes as open_volumes
    from .data.write import write_image as write_image
    from .data.write import write_labels as write_labels
    from .measure.estimate import estimate as estimate
    from .represent.bcd import bcd_watershed as bcd_watershed
    from .synth.phantoms import phantom as phantom
    from .train.run_settings import Run as Run

__version__ = "0.1.0"

HOMES = {
    "ImageSource": "data.volumes", "Run": "train.run_settings", "Segmenter": "api", "UserError": "core.errors",
    "Volume": "data.volumes", "Voxel": "core.voxel", "bcd_watershed": "represent.bcd", "estimate": "measure.estimate",
    "evaluate": "api_judge", "fit": "api", "load": "api", "open_labels": "data.volumes", "open_volumes": "data.volumes",
    "phantom": "synth.phantoms", "recipe": "api", "run": "api_run", "segment": "api", "train": "api",
    "trust": "api_judge", "write_image": "data.write", "write_labels": "data.write",
}  # fmt: skip

__all__ = ["__version__", *HOMES]

if not TYPE_CHECKING:  # a type checker that saw these would take any name for one that exists

    def fetch_public(name):
        """What a name of the API stands for."""
        from importlib import import_module

        return getattr(import_module(f".{HOMES[name]}", __name__), name)

    def __getattr__(name):
        if name not in HOMES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'; there are {', '.join(__all__)}")
        return fetch_public(name)

    class Room(ModuleType):
        """A package of the name of a function, as `train`: it is imported as a package and called as a function."""

        def __call__(self, *args, **options):
            return fetch_public(self.__name__.rpartition(".")[2])(*args, **options)

    class Package(ModuleType):
        """This package. Python puts a package inside of it, once imported, in the place of a function of its name."""

        def __setattr__(self, name, value):
            if name in HOMES and isinstance(value, ModuleType):
                value.__class__ = Room
            super().__setattr__(name, value)

    sys.modules[__name__].__class__ = Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
