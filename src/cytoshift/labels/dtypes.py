"""Which integers hold a label image."""

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError


def smallest_dtype(maximum: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned dtype that holds the ids 0..maximum.

    >>> smallest_dtype(255), smallest_dtype(256), smallest_dtype(70_000)
    (dtype('uint8'), dtype('uint16'), dtype('uint32'))
    """
    if maximum < 0:
        raise ValueError(f"labels start at 0, not at {maximum}")
    return np.min_scalar_type(maximum)


def flatten_unsigned(labels: NDArray[np.generic], name: str = "labels") -> NDArray[np.unsignedinteger]:
    """Labels of any shape, integer dtype and byte order as a flat unsigned array of the machine's own order.

    A view where the array is contiguous. Negative ids come out huge; `refuse_negative` finds them among the ids,
    which spares a pass over the voxels. Raises UserError where the dtype is no integer.
    """
    if labels.dtype.kind not in "bui":
        raise UserError(f"{name} must hold integer ids, not {labels.dtype}; threshold it and number its objects first")
    row = np.ascontiguousarray(labels).reshape(-1)
    native = row.astype(row.dtype.newbyteorder("="), copy=False)
    return native.view(f"u{native.dtype.itemsize}")


def refuse_negative(ids: NDArray[np.unsignedinteger], dtype: np.dtype, name: str = "labels") -> None:
    """Raises UserError where an id was negative before `flatten_unsigned` looked at it as unsigned."""
    if dtype.kind == "i" and ids.size and int(ids.max()) > np.iinfo(dtype).max:
        raise UserError(f"{name} hold negative ids; set these voxels to 0, the background")
