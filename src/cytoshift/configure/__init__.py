"""Raw images and requests -> the settings of a run, and a picture to check them by."""

from .preview import preview
from .requests import LabelledSource, Requests, RunConfiguration, configure, open_source

__all__ = ["LabelledSource", "Requests", "RunConfiguration", "configure", "open_source", "preview"]
