"""What a method eats, from the settings of a run: the fields of its batch say which domains there are."""

from collections.abc import Callable
from functools import partial

from ..core.batch import Drawn, Labelled, LabelledPair, Masks, Shaded, Unlabelled, UnlabelledPair
from ..core.errors import UserError
from ..core.rng import integer
from ..core.voxel import Voxel
from ..data.domains import Domain, Images, ShadedImages, SyntheticMasks, class_by_class, covered
from ..data.drawn import DrawnImages
from ..data.histogram import Levelled, match
from ..data.labelled import ImagePairs, LabelledImages, LabelledPairs
from ..data.pairs import Pairs, matched, objects, portion, without
from ..data.shapes import Drawer, drawer
from ..data.volumes import ImageSource, Volume, beside, open_labels, open_volumes
from ..synth import CLASSES, draw_labels, draw_pair
from .settings import Run, Source


def domains(run: Run, batch: type, volumes: list[Volume], working: Voxel) -> dict[str, Domain]:
    """One stream for each field of the NamedTuple `batch`; `source` is what lends labels, all else is run.data.

    Raises UserError where the settings lack what a field is made from.
    """
    ways: dict[type, Callable[[str], Domain]] = {
        Unlabelled: lambda name: (
            plain_source(run, volumes, working) if name == "source" else images(run, volumes, working)
        ),
        Shaded: lambda name: shaded(run, volumes, working),
        UnlabelledPair: lambda name: pairs(run, volumes, working),
        Masks: lambda name: masks(run, working),
        Drawn: lambda name: drawn(run, working),
        Labelled: lambda name: labelled(run, LabelledImages, volumes, working),
        LabelledPair: lambda name: labelled(run, LabelledPairs, volumes, working),
    }
    return {name: ways[kind](name) for name, kind in batch.__annotations__.items()}


def images(run: Run, volumes: list[Volume], working: Voxel) -> Images:
    return Images(volumes, run.data.normalise, working, run.patch, run.seed, run.data.augment)


def shaded(run: Run, volumes: list[Volume], working: Voxel) -> ShadedImages:
    return ShadedImages(volumes, run.data.normalise, working, run.patch, run.seed, run.data.augment)


def pairs(run: Run, volumes: list[Volume], working: Voxel) -> ImagePairs:
    data, seed = run.data, integer(run.seed, "target")
    return ImagePairs(volumes, data.normalise, working, run.patch, seed, data.augment, data.corrupt)


def masks(run: Run, working: Voxel) -> SyntheticMasks:
    if (draw := mask_drawer(run)) is None:
        raise UserError(
            f"method '{run.method}' learns from synthetic masks, and the settings have no prior; 'cytoshift new "
            f"{run.method}' measures one"
        )
    return SyntheticMasks(draw, run.represent, working, run.patch, run.seed)


def drawn(run: Run, working: Voxel) -> DrawnImages:
    if run.randomised is None:
        raise UserError(
            f"method '{run.method}' learns from synthetic images, and the settings do not say how they are drawn; "
            f"'cytoshift new {run.method}' writes `randomised`"
        )
    return DrawnImages(run.randomised, run.represent, working, run.patch, run.seed, run.data.augment)


def mask_drawer(run: Run) -> Drawer | None:
    """What draws labels (*S), or (K, *S) in the order of the classes; None where nothing says how."""
    names = run.represent.names
    if run.cells is not None:
        both, places = drawer(run.cells), [CLASSES.index(name) for name in names]
        return lambda shape, voxel, rng: both(shape, voxel, rng)[places]
    if run.priors is not None:
        return class_by_class({name: run.priors[name] for name in names})
    if (law := run.randomised) is not None:
        return lambda shape, voxel, rng: draw_pair(law, shape, voxel, rng)[1]
    return None if run.prior is None else partial(draw_labels, run.prior)


def labelled(run: Run, kind: type[LabelledPairs], volumes: list[Volume], working: Voxel) -> LabelledPairs:
    """The source has a stream of its own: what happens to its images does not happen to those of the target."""
    source = lender(run)
    found, _ = kept_and_held(run)
    if source.match_levels and found[0][0].channels > 1:
        raise UserError("source.match_levels matches images of one channel, these have several; set it to false")
    made = of_pairs(run, found, kind, volumes, working)
    if source.match_cover:
        made.covered = covered(images(run, volumes, working))
    return made


def of_pairs(
    run: Run, found: Pairs, kind: type[LabelledPairs], volumes: list[Volume], working: Voxel
) -> LabelledPairs:  # fmt: skip
    """A stream of labelled source images, read as the networks see them."""
    source = lender(run)
    photographs, truths = [image for image, _ in found], [truth for _, truth in found]
    made = kind(
        photographs, truths, source.normalise, lent_voxel(source, photographs, len(run.patch)), run.patch,
        integer(run.seed, "source"), source.augment, source.corrupt, run.represent,
    )  # fmt: skip
    if source.match_levels:
        levelled(made, images(run, volumes, working))
    return made


def kept_and_held(run: Run) -> tuple[Pairs, Pairs]:
    """Labelled source images to learn from, and those that are kept from the training."""
    source = lender(run)
    found = lent_pairs(source, run.represent.names)
    return without(found, source.hold) if source.hold else (found, [])


def held(run: Run, volumes: list[Volume], working: Voxel) -> LabelledPairs:
    """The labelled source images that are kept from the training."""
    return of_pairs(run, kept_and_held(run)[1], LabelledImages, volumes, working)


def levelled(source: Images, target: Images) -> None:
    """From now on the source is read with the intensities of the target."""
    table = match(source.values(), target.values())
    source.rescale([Levelled(scale, table) for scale in source.scales])


def lent_pairs(source: Source, names: tuple[str, ...] = ()) -> Pairs:
    """Images and labels to learn from; of several classes, the labels are stacked in the order of their `names`.

    Raises UserError where they do not belong together.
    """
    images = open_volumes(source.images)
    if isinstance(source.labels, ImageSource):
        pairs = labelled_images(images, source.labels, source, "source")
    else:
        each = [labelled_images(images, source.labels[name], source, f"source, {name}") for name in names]
        truths = zip(*([truth for _, truth in pairs] for pairs in each))
        words = f"the first of {', '.join(names)}"
        pairs = [(image, beside(list(found), words)) for (image, _), found in zip(each[0], truths)]
    return portion(pairs, source.part)


def labelled_images(images: list[Volume], labels: ImageSource, source: Source, what: str) -> Pairs:
    return [(image, objects(truth, source.mask_above)) for image, truth in matched(images, open_labels(labels), what)]


def plain_source(run: Run, targets: list[Volume], working: Voxel) -> Images:
    source = lender(run)
    volumes = open_volumes(source.images)
    voxel = lent_voxel(source, volumes, len(run.patch))
    made = Images(volumes, source.normalise, voxel, run.patch, integer(run.seed, "source"), source.augment)
    if source.match_levels:
        levelled(made, images(run, targets, working))
    return made


def lender(run: Run) -> Source:
    if run.source is None:
        raise UserError(
            f"method '{run.method}' borrows labels, and the settings have no source; 'cytoshift new' writes one, told "
            "of the source's images and labels"
        )
    return run.source


def lent_voxel(source: Source, volumes: list[Volume], ndim: int) -> Voxel:
    """What of the source becomes one voxel the networks work at."""
    own = volumes[0].voxel
    if own.ndim != ndim:
        raise UserError(f"patch has {ndim} axes, the source {volumes[0].name} is '{volumes[0].axes}'; both must agree")
    if source.voxel is not None:
        if len(source.voxel) != ndim:
            raise UserError(f"source.voxel {source.voxel} needs one size for each axis of '{volumes[0].axes}'")
        return Voxel(source.voxel, own.unit)
    if len({v.voxel for v in volumes}) > 1:
        raise UserError("the source images have different voxel sizes; set source.voxel to the one to work at")
    return own
