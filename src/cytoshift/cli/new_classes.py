"""`cytoshift new --channels`: settings of several classes, each in a channel of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from .new import SHOWN, SIZE, Written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.volumes import ImageSource
    from ..train.recipe import Told
    from ..train.settings import Run


def by_class(method: str, target: "ImageSource", words: str) -> dict[str, int]:
    """ "golgi=0,nuclei=1" as numbers by name. Raises UserError for anything else, and where it does not fit."""
    from ..methods import METHODS

    if method not in METHODS or not METHODS[method].several:
        able = ", ".join(name for name, kind in METHODS.items() if kind.several)
        raise UserError(f"{method} segments one class; leave --channels out, or take {able}")
    if target.channel is not None:
        raise UserError("--channel chooses one channel, --channels several; leave one of them out")
    numbers = named(words)
    if not numbers or not all(number.isdigit() for number in numbers.values()):
        raise UserError(f"--channels {words} is no list of classes and channels; write for example golgi=0,nuclei=1")
    return {name: int(number) for name, number in numbers.items()}


def named(words: str) -> dict[str, str]:
    """ "golgi=a,nuclei=b" as words by name; nothing where it is no such list."""
    parts = [part.partition("=") for part in words.split(",")]
    found = {name.strip(): word.strip() for name, _, word in parts}
    return found if len(found) == len(parts) and all(name and word for name, word in found.items()) else {}


def drawing_classes(
    method: str, target: "ImageSource", channels: dict[str, int], cells: str | None, polarity: Any, preset: str,
    represent: Any, told: "Told | None" = None,
) -> Written:  # fmt: skip
    """A method that learns from masks of several classes, measured in their channels, or drawn as `cells`."""
    from ..train.several import commented, look, settings

    surveys = look(target, channels, polarity, cells, told)
    run = settings(surveys, preset, method=method, represent=represent, cells=cells)
    sentence = "\n".join(f"{name}: {survey.sentence()}" for name, survey in surveys.items())
    return commented(run, surveys), classes_preview(run), sentence


def teaching(
    method: str, target: "ImageSource", channels: dict[str, int], source: tuple[str, str], stated: dict[str, Any],
    preset: str, represent: str, mask_above: float | None,
) -> Written:  # fmt: skip
    """A method that learns from labels of several classes.

    source: images, and their labels as a folder that holds one for each class or as "golgi=PATH,nuclei=PATH". stated:
    what is said of the source; its channels are those of the target unless others are named.
    """
    from ..data.volumes import declared
    from ..train.several import commented_taught, lent_classes, taught

    said = stated["channel"]
    theirs = channels if said is None else dict(zip(channels, map(int, numbers_of(said, channels))))
    images = declared(source[0], **stated | {"channel": None})
    flat = stated["axes"] and "".join(axis for axis in stated["axes"] if axis in "tzyx")  # labels have no channels
    labels = {
        name: declared(path, **stated | {"channel": None, "axes": flat})
        for name, path in label_paths(source[1], list(channels)).items()
    }
    stock = lent_classes(images, labels, theirs, mask_above)
    run = taught(target, channels, stock, preset, method=method, represent=represent)
    sentence = "\n".join(f"{name}: {one.sentence()}" for name, one in stock.items())
    return commented_taught(run, stock), taught_preview(run), sentence


def numbers_of(words: str, channels: dict[str, int]) -> list[str]:
    numbers = words.split(",")
    if len(numbers) != len(channels) or not all(number.strip().isdigit() for number in numbers):
        raise UserError(
            f"--source-channel {words} is no number for each of {', '.join(channels)}; write for example 0,1, in the "
            "order of --channels"
        )
    return numbers


def label_paths(words: str, names: list[str]) -> dict[str, str]:
    """Where the labels of each class lie. Raises UserError where one is missing."""
    if Path(words).is_dir():
        paths = {name: Path(words) / name for name in names}
        if missing := next((name for name, path in paths.items() if not path.is_dir()), None):
            raise UserError(f"{words} holds no folder {missing}; put the labels of each class into one of its name")
        return {name: str(path) for name, path in paths.items()}
    found = named(words)
    if set(found) != set(names):
        raise UserError(
            f"--source IMAGES {words} does not say where the labels of {', '.join(names)} are; give a folder that "
            f"holds one for each, or {','.join(f'{name}=PATH' for name in names)}"
        )
    return found


def classes_preview(run: "Run") -> "NDArray[np.uint8]":
    """Patches as the networks see them beside synthetic objects, in the same colours; volumes: their middle plane."""
    from ..core.rng import stream
    from ..core.voxel import Voxel
    from ..data.volumes import open_volumes
    from ..draw import composite, sheet
    from ..labels.ids import sizes
    from ..train.domains import images, mask_drawer
    from ..train.loop import working_voxel

    volumes, draw = open_volumes(run.data.images), mask_drawer(run)
    assert draw is not None and run.represent.names, "as `drawing_classes` has written it"
    working = working_voxel(run, volumes)
    patches, square = images(run, volumes, working), Voxel(working.size, working.unit)
    rows, captions = [], []
    for i in range(SHOWN):
        labels = draw(run.patch, working, stream(run.seed, "preview", i))
        seen = patches.channels(patches.window(stream(run.seed, "preview", i, "image")))
        mask = run.represent.foreground(run.represent.encode(labels, working))
        rows.append([composite(picture, square, size=SIZE, limits=ends) for picture, ends in (
            (seen, (-1.0, 1.0)), (mask, (0.0, 1.0)))])  # fmt: skip
        counts = (f"{len(sizes(one)[0])} {name}" for one, name in zip(labels, run.represent.names))
        captions.append([f"{' x '.join(map(str, run.patch))} voxels", ", ".join(counts)])
    heading = "Do size, number and shape of the synthetic objects look like those of the images? If not, change them."
    return sheet(rows, titles=["image", "synthetic objects"], captions=captions, heading=heading)


def taught_preview(run: "Run") -> "NDArray[np.uint8]":
    """Source patches, their labels and target patches as the networks see them, in the same colours."""
    import numpy as np

    from ..core.voxel import Voxel
    from ..data.volumes import open_volumes
    from ..draw import composite, sheet
    from ..methods.supervised import Supervised
    from ..train.domains import domains, images
    from ..train.loop import working_voxel

    volumes = open_volumes(run.data.images)
    working = working_voxel(run, volumes)
    lender, target = domains(run, Supervised.batch, volumes, working)["source"], images(run, volumes, working)
    square = Voxel(working.size, working.unit)
    rows = []
    for i in range(SHOWN):
        image, channels = lender.sample(i)
        mask = run.represent.foreground(np.asarray(channels))
        rows.append([composite(picture, square, size=SIZE, limits=ends) for picture, ends in (
            (image, (-1.0, 1.0)), (mask, (0.0, 1.0)), (target.sample(i)[0], (-1.0, 1.0)))])  # fmt: skip
    heading = "Are objects of both sides equally large, and each class in the same colour? If not, change source."
    return sheet(rows, titles=["source", "its labels", "target"], heading=heading)
