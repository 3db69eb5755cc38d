"""Raw images and requests -> the settings of a run, and a picture to check them by."""

from .preview import preview
from .requests import Configured, Labelled, Requests, configure, labelled

__all__ = ["Configured", "Labelled", "Requests", "configure", "labelled", "preview"]
