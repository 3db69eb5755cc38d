"""What a method eats, from the settings of a run: the fields of its batch say which domains there are."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial

from ..core.batch import (
    BiasFieldBatch,
    LabelledBatch,
    LabelledPair,
    MaskBatch,
    SyntheticBatch,
    UnlabelledBatch,
    UnlabelledPair,
)
from ..core.errors import UserError
from ..core.rng import integer
from ..core.voxel import Voxel
from ..data.histogram import MatchedScale, histogram_lookup
from ..data.label_pairs import Pairs, label_images, leave_out, take_portion
from ..data.labelled import DrawnImages, ImagePairs, LabelledImages, LabelledPairs
from ..data.sections import space_sections
from ..data.shape_library import Drawer, drawer
from ..data.streams import BiasFieldImages, Domain, Images, SyntheticMasks, draw_classes, foreground_shares
from ..data.volumes import ImageSource, Volume, open_volumes, stack_channels
from ..methods import METHODS
from ..synth import CLASSES, draw_labels, draw_pair
from .run_settings import Run, Source

Target = Callable[[], Images]  # the images to segment, read when they are asked for


def domain_streams(run: Run, batch: type, volumes: list[Volume], working: Voxel) -> dict[str, Domain]:
    """One stream for each field of the NamedTuple `batch`; `source` is what lends labels, all else is run.data.

    Raises UserError where the settings lack what a field is made from.
    """
    volumes = fit_sides(volumes, working, run.data.sides)
    target = cache(lambda: image_stream(run, volumes, working))  # read once, whoever looks at it
    ways: dict[type, Callable[[str], Domain]] = {
        UnlabelledBatch: lambda name: plain_source(run, target) if name == "source" else target(),
        BiasFieldBatch: lambda name: bias_field_stream(run, volumes, working),
        UnlabelledPair: lambda name: pair_stream(run, volumes, working),
        MaskBatch: lambda name: mask_stream(run, working),
        SyntheticBatch: lambda name: synthetic_stream(run, working),
        LabelledBatch: lambda name: labelled_stream(run, LabelledImages, target),
        LabelledPair: lambda name: labelled_stream(run, LabelledPairs, target),
    }
    return {name: ways[kind](name) for name, kind in batch.__annotations__.items()}


def fit_sides(volumes: list[Volume], working: Voxel, sides: Mapping[str, float]) -> list[Volume]:
    """Volumes that are read at the side of the networks' voxels which is given for them, as if they were as much finer
    or coarser."""

    def of(volume: Volume) -> Volume:
        factor = working.size[-1] / sides.get(volume.name, working.size[-1])
        return replace(volume, voxel=Voxel(tuple(size * factor for size in volume.voxel.size), volume.voxel.unit))

    return [of(one) if one.name in sides else one for one in volumes]


def image_stream(run: Run, volumes: list[Volume], working: Voxel) -> Images:
    return Images(volumes, run.data.normalise, working, run.patch, run.seed, run.data.augment)


def bias_field_stream(run: Run, volumes: list[Volume], working: Voxel) -> BiasFieldImages:
    return BiasFieldImages(volumes, run.data.normalise, working, run.patch, run.seed, run.data.augment)


def pair_stream(run: Run, volumes: list[Volume], working: Voxel) -> ImagePairs:
    data, seed = run.data, integer(run.seed, "target")
    return ImagePairs(volumes, data.normalise, working, run.patch, seed, data.augment, data.corrupt)


def mask_stream(run: Run, working: Voxel) -> SyntheticMasks:
    if (draw := mask_drawer(run)) is None:
        raise UserError(
            f"method '{run.method}' learns from synthetic masks, and the settings have no prior; 'cytoshift new "
            f"{run.method}' measures one"
        )
    return SyntheticMasks(draw, run.represent, working, run.patch, run.seed)


def synthetic_stream(run: Run, working: Voxel) -> DrawnImages:
    if run.randomised is None:
        raise UserError(
            f"method '{run.method}' learns from synthetic images, but the settings do not describe them; "
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
        return draw_classes({name: run.priors[name] for name in names})
    if (law := run.randomised) is not None:
        return lambda shape, voxel, rng: draw_pair(law, shape, voxel, rng)[1]
    return None if run.prior is None else partial(draw_labels, run.prior)


def labelled_stream(run: Run, kind: type[LabelledPairs], target: Target) -> LabelledPairs:
    """The source has a stream of its own: what happens to its images does not happen to those of the target."""
    source = source_volumes(run)
    refuse_ignored(run, source)
    found, _ = split_source(run)
    if source.match_levels and found[0][0].channels > 1:
        raise UserError("source.match_levels matches images of one channel, but these have several; set it to false")
    if source.appearance.repaint and (found[0][0].channels > 1 or run.represent.names):
        raise UserError(
            "source.appearance.repaint paints objects of one class in one channel, but these have several; set it to 0"
        )
    made = stream_of_pairs(run, found, kind, target)
    if source.match_foreground:
        made.covered = foreground_shares(target())
    return made


def refuse_ignored(run: Run, source: Source) -> None:
    """Raises UserError where labels have ignored voxels, and the method uses labels in ways that need all of them."""
    if source.ignore_id is not None and not METHODS[run.method].supports_ignored:
        able = ", ".join(name for name, one in METHODS.items() if one.supports_ignored)
        raise UserError(
            f"method '{run.method}' needs labels of every voxel, and source.ignore_id={source.ignore_id} leaves some "
            f"out; set it to null, or take {able}"
        )


def stream_of_pairs(run: Run, found: Pairs, kind: type[LabelledPairs], target: Target) -> LabelledPairs:
    """A stream of labelled source images, read as the networks see them."""
    source = source_volumes(run)
    photographs, truths = [image for image, _ in found], [truth for _, truth in found]
    working_there = source_voxel(source, photographs, len(run.patch))
    made = kind(
        fit_sides(photographs, working_there, source.sides), truths, source.normalise, working_there, run.patch,
        integer(run.seed, "source"), source.augment, source.corrupt, run.represent,
    )  # fmt: skip
    made.ignore_id, made.appearance = source.ignore_id, source.appearance
    if source.match_levels:
        match_source_levels(made, target())
    if source.appearance.needs_target:
        made.target = target()
    return made


def split_source(run: Run) -> tuple[Pairs, Pairs]:
    """Labelled source images to learn from, and those that are kept from the training."""
    source = source_volumes(run)
    found = whole_source_pairs(source, run.represent.names)
    learnt, held = leave_out(found, source.held_out) if source.held_out else (found, [])
    return space_pairs(learnt, source.section_step), space_pairs(held, source.section_step)


def space_pairs(found: Pairs, step: int) -> Pairs:
    """Images and labels with sections that lie `step` times as far apart."""
    return [pair for both in found for pair in zip(*(space_sections(one, step) for one in both))]


def held_out_source(run: Run, volumes: list[Volume], working: Voxel) -> LabelledPairs:
    """The labelled source images that are kept from the training."""
    return stream_of_pairs(
        run, split_source(run)[1], LabelledImages, cache(lambda: image_stream(run, volumes, working))
    )


def match_source_levels(source: Images, target: Images) -> None:
    """From now on the source is read with the intensities of the target."""
    table = histogram_lookup(source.values(), target.values())
    source.rescale([MatchedScale(scale, table) for scale in source.scales])


def source_pairs(source: Source, names: tuple[str, ...] = ()) -> Pairs:
    """Images and labels to learn from, with sections as far apart as `section_step` says."""
    return space_pairs(whole_source_pairs(source, names), source.section_step)


def whole_source_pairs(source: Source, names: tuple[str, ...] = ()) -> Pairs:
    """The same as they are on disk; of several classes, the labels are stacked in the order of their `names`.

    Raises UserError where they do not belong together.
    """
    images, as_objects = open_volumes(source.images), (source.mask_above, source.ignore_id)
    if isinstance(source.labels, ImageSource):
        pairs = label_images(images, source.labels, "source", *as_objects)
    else:
        each = [label_images(images, source.labels[name], f"source, {name}", *as_objects) for name in names]
        truths = zip(*([truth for _, truth in pairs] for pairs in each))
        words = f"the first of {', '.join(names)}"
        pairs = [(image, stack_channels(list(found), words)) for (image, _), found in zip(each[0], truths)]
    return take_portion(pairs, source.fraction)


def plain_source(run: Run, target: Target) -> Images:
    source = source_volumes(run)
    volumes = [piece for one in open_volumes(source.images) for piece in space_sections(one, source.section_step)]
    voxel = source_voxel(source, volumes, len(run.patch))
    made = Images(volumes, source.normalise, voxel, run.patch, integer(run.seed, "source"), source.augment)
    if source.match_levels:
        match_source_levels(made, target())
    return made


def source_volumes(run: Run) -> Source:
    if run.source is None:
        raise UserError(
            f"method '{run.method}' borrows labels, but the settings have no source; 'cytoshift new' writes one, told "
            "of the source's images and labels"
        )
    return run.source


def source_voxel(source: Source, volumes: list[Volume], ndim: int) -> Voxel:
    """The size in the source that becomes one voxel of the networks."""
    own = volumes[0].voxel
    if own.ndim != ndim:
        raise UserError(
            f"patch has {ndim} axes, but the source {volumes[0].name} is '{volumes[0].axes}'; both must agree"
        )
    if source.voxel is not None:
        if len(source.voxel) != ndim:
            raise UserError(f"source.voxel {source.voxel} needs one size for each axis of '{volumes[0].axes}'")
        return Voxel(source.voxel, own.unit)
    if len({v.voxel for v in volumes}) > 1:
        raise UserError("the source images have different voxel sizes; set source.voxel to the one to work at")
    return own
