"""What people look at: one self-contained page of a training, a segmentation, an evaluation or a benchmark.

A page is made of files that other rooms have written, so it can be made again at any time.
"""

from .page import write_report

__all__ = ["write_report"]
