"""What is only true of many blocks: how a volume is cut, which blocks of which pass are finished, who does them, which
objects of two blocks are one, and whether faces of blocks have left a trace.
"""

from .run import audit_classes as audit_classes
from .run import clear_job as clear_job
from .run import finish as finish
from .run import segment_blockwise as segment_blockwise
