"""A checkpoint holds all that a step depends on; the data do not need any, they are a function of the step."""

import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from ..core.atomic import atomic_path
from ..core.errors import UserError


def save(path: Path, step: int, elapsed: float, parts: dict[str, Any]) -> None:
    """parts: anything with state_dict(). elapsed: seconds of training so far. Atomic."""
    state = {"step": step, "elapsed": elapsed} | {name: part.state_dict() for name, part in parts.items()}
    with atomic_path(path) as beside:
        try:
            torch.save(state, beside)
        except RuntimeError as error:  # torch's writer has no class for what a disk refuses
            reason = first_line(error)
            raise UserError(
                f"cannot write {path}: {reason}; free space or choose another output with `out`, the same command "
                "goes on from the checkpoint before"
            ) from error


def load(path: Path, parts: dict[str, Any]) -> tuple[int, float]:
    """Restore every part in place; return (step, elapsed), or (0, 0) where there is no checkpoint yet."""
    if not path.exists():
        return 0, 0.0
    refuse_damaged(path)
    try:
        # Checkpoints of the first version have nothing of the monitor.
        state = {"monitor": {}} | with_new_names(torch.load(path, map_location="cpu", weights_only=True))
        for name, part in parts.items():
            restore(part, state[name])
    except (RuntimeError, KeyError, EOFError, ValueError) as error:
        raise UserError(
            f"checkpoint {path} does not fit this run ({first_line(error)}); choose another `out`"
        ) from None
    return int(state["step"]), float(state["elapsed"])


def with_new_names(state: Any) -> Any:
    """A state in which keys of version 0.1 have their new names; one without such keys as it is."""
    if not isinstance(state, dict):
        return state
    renamed = {rename_key(key): with_new_names(value) for key, value in state.items()}
    same = renamed.keys() == state.keys() and all(renamed[key] is state[key] for key in state)
    return state if same else type(state)(renamed)


def rename_key(key: Any) -> Any:
    return key.replace("critic", "discriminator") if isinstance(key, str) else key  # old name


def refuse_damaged(path: Path) -> None:
    """Raises UserError where the file is not what `save` wrote, which is a zip with a checksum of every part."""
    cure = f"it is damaged; delete {path} to begin again, or choose another `out`"
    with path.open("rb") as file:
        try:
            bad = ZipFile(file).testzip()
        except (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, struct.error, zlib.error):
            raise UserError(
                f"checkpoint {path} is not a file that a training wrote, or only a part of one; {cure}"
            ) from None
    if bad is not None:
        raise UserError(f"checkpoint {path} does not hold what was written ({bad}); {cure}")


def restore(part: Any, state: dict[str, Any]) -> None:
    if isinstance(part, nn.Module):
        part.load_state_dict(state, strict=True)
    else:
        part.load_state_dict(state)


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
