"""The trained segmenter: all that stands between a raw image and its instances, as a folder that a person can open."""

from .segmenter import Segmenter, fingerprint

__all__ = ["Segmenter", "fingerprint"]
