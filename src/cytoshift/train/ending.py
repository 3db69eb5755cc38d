"""The end of a training that a signal asks for: after a step, with a checkpoint."""

from typing import TYPE_CHECKING

from ..core.signals import Stopped, asked

if TYPE_CHECKING:
    from .training import Training


def end_if_asked(training: "Training") -> None:
    """To be called after a step. Raises Stopped when the state is saved; the first process decides for all."""
    from .training import LAST

    fabric, number = training.fabric, asked()
    if fabric.world_size > 1:
        number = fabric.broadcast(number)
    if not number:
        return
    if training.kept != training.step:
        training.save(LAST)
    fabric.barrier()  # whoever ends before the others would end them
    words = f"the checkpoint is that of step {training.step}, the same command goes on from there"
    raise Stopped(number, words if fabric.is_global_zero else None)
