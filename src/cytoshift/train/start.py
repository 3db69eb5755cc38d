"""What a training starts from: the working voxel size, a method with fresh weights, or those of another model."""

from typing import Any

import torch

from ..core.errors import UserError
from ..core.rng import integer
from ..core.settings import parse
from ..core.voxel import Voxel
from ..data.volumes import Volume
from ..methods import METHODS, Method, Task
from ..methods.backbone import Backbone
from ..model import Segmenter
from ..nets.unet import UNetSpec
from .run_folder import differences
from .run_settings import Run


def build(run: Run, working: Voxel, channels: int = 1, attempt: int = 0) -> Method:
    """The method with weights drawn from the run's seed and the attempt, whatever was drawn before, or with those of
    the model that the run starts from.

    channels: of the images. Raises UserError where the method takes one channel, or one class, and there are more.
    """
    kind = METHODS[run.method]
    able = ", ".join(name for name, one in METHODS.items() if one.supports_classes)
    if channels > 1 and not kind.supports_classes:
        raise UserError(
            f"{run.method} takes images of one channel, but these have {channels}; choose one, or take {able}"
        )
    if run.represent.names and not kind.supports_classes:
        raise UserError(f"{run.method} segments one class, but represent has several; represent one, or take {able}")
    options = parse(kind.settings, start_sizes(run) | run.options, "options")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(run.seed, "weights", *[attempt] * (attempt > 0)))
        method = kind(Task(working, run.represent, channels), options, integer(run.seed, "pool"))
    load_start_weights(run, method)
    return method


def start_sizes(run: Run) -> dict[str, Any]:
    """Options of the network that the run starts from, for those that the settings leave out."""
    if run.start is None or not issubclass(METHODS[run.method].settings, Backbone):
        return {}
    spec = Segmenter.load(run.start).spec
    return {name: getattr(spec, name) for name in Backbone.model_fields} if isinstance(spec, UNetSpec) else {}


def load_start_weights(run: Run, method: Method) -> None:
    """Load the weights of the model that the run starts from. Raises UserError where it is another network."""
    if run.start is None:
        return
    model = Segmenter.load(run.start)
    there, wish = (one.model_dump(mode="json") for one in (model.spec, method.exported_spec()))
    if isinstance(model.spec, UNetSpec):
        there["frozen"] = False  # a training measures its own statistics
    if changed := differences(there, wish) or differences(
        {"channels": list(model.representation.channels)}, {"channels": list(run.represent.channels)}
    ):
        raise UserError(
            f"start: {run.start} holds another network ({changed[0]}); take the options, represent and voxel size of "
            "the run that it comes from"
        )
    known, weights = method.network().state_dict(), model.network.state_dict()
    method.network().load_state_dict({name: weights[name] for name in known})


def working_voxel(run: Run, volumes: list[Volume]) -> Voxel:
    """The size the networks work at: as declared, or that of the images where they all share one."""
    ndim = volumes[0].voxel.ndim
    if len(run.patch) != ndim:
        raise UserError(
            f"patch {run.patch} has {len(run.patch)} axes, but the images are '{volumes[0].axes}'; set patch"
        )
    if run.data.voxel is not None:
        if len(run.data.voxel) != ndim:
            raise UserError(f"data.voxel {run.data.voxel} needs one size for each axis of '{volumes[0].axes}'")
        return Voxel(run.data.voxel, volumes[0].voxel.unit)
    sizes = {v.voxel for v in volumes}
    if len(sizes) > 1:
        raise UserError(f"the images have {len(sizes)} different voxel sizes; set data.voxel to the one to work at")
    return volumes[0].voxel
