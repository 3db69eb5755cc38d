"""The part of the prediction that concerns many blocks: how a volume is cut, which blocks of which pass are finished,
which engine does them, which objects of two blocks are the same, and whether faces of blocks have cut objects.
"""

from .run import audit_classes as audit_classes
from .run import clear_job as clear_job
from .run import finish as finish
from .run import segment_blockwise as segment_blockwise
