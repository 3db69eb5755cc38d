"""A second training with some labels of the target: the network of a first one is taught by them alone.

Roels et al. (2019) add no loss of the target's labels to Eq. 1, which "limits the capacity of the segmentation network
significantly": the network is trained without them, and finetuned.
"""

from pathlib import Path

from ..data.volumes import ImageSource
from ..methods import Supervised
from ..methods.backbone import Backbone
from ..train.run_settings import Run, Source

FINETUNE_RATE = 0.1  # times the learning rate of the first training (the authors: 1e-4 after 1e-3)


def finetuning_run(
    run: Run,
    model: Path,
    images: ImageSource,
    labels: ImageSource | dict[str, ImageSource],
    fraction: float,
    mask_above: float | None = None,
) -> Run:
    """Settings of the second training. run: the first one's settings, whose network, patches and target stay.

    model: the folder that it left. images, labels: of the target; fraction: of them (0 to 1] that is learnt from.
    mask_above: as in Source.
    """
    data = run.data
    source = Source(
        images=images, labels=labels, normalise=data.normalise, voxel=data.voxel, augment=data.augment,
        corrupt=data.corrupt, mask_above=mask_above, fraction=fraction,
    )  # fmt: skip
    options = run.options.get("segment", run.options)  # of a recipe of two stages
    train = run.train.model_copy(update={"lr": FINETUNE_RATE * run.train.lr})
    return run.model_copy(
        update={
            "method": Supervised.name,
            "source": source,
            "start": str(model),
            "prior": None,
            "train": train,
            "options": {name: value for name, value in options.items() if name in Backbone.model_fields},
        }
    )
