"""`cytoshift plan`: what the segmentation of a very large volume takes, before it is begun."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import say

if TYPE_CHECKING:
    from ..predict.blockwise.forecast import Forecast, Rates


def plan(
    image: Annotated[str | None, typer.Argument(help="An image. Only its shape is read.")] = None,
    shape: Annotated[str | None, typer.Option(help="Or its shape in voxels, z,y,x or y,x.")] = None,
    axes: inputs.Axes = None,
    workers: inputs.Workers = 1,
    memory: inputs.Memory = "16GB",
    objects: Annotated[float, typer.Option(help="Extent of the largest object in voxels.")] = 32.0,
    rate: Annotated[
        list[str] | None,
        typer.Option(help="NAME=NUMBER, repeatable: card=5e7 voxels/s of the network on a GPU, storage=2e10 bytes/s."),
    ] = None,
) -> None:
    """Predict how many blocks, objects, files and hours a volume takes, and what limits it first.

    Nothing is computed but arithmetic. The speeds of one core were measured and come with the program. You can set all
    of them.
    """
    from ..core.settings import parse
    from ..predict.blockwise.forecast import Rates, forecast, measured_rates

    if (image is None) == (shape is None):
        raise UserError("no volume was given; pass an image, or its size by --shape 1000,10000,100000")
    wanted = inputs.whole_numbers(shape, "--shape", "1000,10000,100000") or shape_of(str(image), axes)
    if len(wanted) not in (2, 3) or min(wanted) < 1:
        raise UserError(f"no image has the shape {wanted}; write --shape z,y,x or y,x")
    known, where = measured_rates()
    said = dict(pair(word) for word in rate or [])
    rates = parse(Rates, known | said, "--rate")
    say(
        "\n".join(
            lines(forecast(wanted, rates, workers, inputs.parse_amount(memory), objects), rates, workers, where, said)
        )
    )


def shape_of(image: str, axes: str | None) -> tuple[int, ...]:
    from ..bench.compare import open_any
    from ..data.volumes import image_source, open_volumes

    volumes = open_any(open_volumes, image_source(image, axes))
    if len(volumes) > 1:
        raise UserError(f"{image} holds {len(volumes)} images; name one, or pass --shape")
    return volumes[0].shape


def pair(word: str) -> tuple[str, float]:
    """
    >>> pair("card=5e7")
    ('card', 50000000.0)
    """
    name, _, number = word.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise UserError(f"--rate {word} is not NAME=NUMBER; write for example --rate card=5e7") from None


def lines(made: "Forecast", rates: "Rates", workers: int, where: str, said: dict[str, float]) -> list[str]:
    """The forecast in words."""
    times = lambda sizes: " x ".join(map(str, sizes))
    device = f"a GPU of {rates.card / 1e6:.3g} Mvoxel/s" if rates.card else "no GPU"
    assumed = {"storage": rates.storage, "link": rates.link, "cores": rates.cores} | said
    out = [
        f"volume     {made.voxels:.3g} voxels, {made.image / 1e12:.3g} TB stored",
        f"blocks     {made.blocks:,} of {times(made.block)}, halo {times(made.halo)}: {made.inflation:.2f} times the "
        "volume is read to decode",
        f"objects    {made.objects:.2g}, tables of {made.tables / 1e9:.3g} GB; ids of "
        f"{32 if made.objects < 2**32 else 64} bits",
        f"disk       {made.work / 1e12:.3g} TB in the working folder, {made.output / 1e12:.3g} TB of labels with "
        f"pyramid, in {made.chunk_files:.2g} chunks ({made.shard_files:.2g} shards of a block)",
        f"ledger     {made.ledger / 1e6:.3g} MB; {made.memory / 1e9:.3g} GB in the process that leads and merges",
        f"workers    {workers}, each with {device} and {rates.cores} cores",
        *(f"time       {duration(s.seconds):>10}  {s.name}, bound by {s.bound}" for s in made.stages),
        f"in all     {duration(made.seconds):>10}",
        *(f"breaks     {number}. {words}" for number, words in enumerate(made.limits, start=1)),
        f"measured   {where}: network {rates.network / 1e6:.3g}, stitching {rates.stitch / 1e6:.3g}, counting "
        f"{rates.count / 1e6:.3g} Mvoxel/s",
        "assumed    " + ", ".join(f"{name} {value:.3g}" for name, value in assumed.items()),
    ]  # fmt: skip
    return out


def duration(seconds: float) -> str:
    """
    >>> duration(90), duration(4e4), duration(4e6)
    ('1.5 min', '11.1 h', '46.3 days')
    """
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= (2 * length if unit == "days" else length):
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
