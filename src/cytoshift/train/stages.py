"""Recipes of two stages: make one modality, or synthetic masks, look like the other, and learn to segment.

    cyclegan-xy    draw the source in the look of the target, learn on the drawings, segment the target
    cyclegan-yx    learn on the source; draw the target in the look of the source, and segment the drawing
    histogram-xy   as cyclegan-xy, by matching the histograms of whole volumes
    histogram-yx   as cyclegan-yx, likewise
    cgunet         draw images of synthetic masks by a CycleGAN, learn on these pairs
    deepsynth      as cgunet, by an SpCycleGAN
    adgan-unet     as cgunet, by an AD-GAN

X is the source, Y the target (CySGAN, Table II). OUT/translate and OUT/segment are runs of their own, OUT/translated
holds the drawings; each is there once it is whole, so that a recipe that was stopped goes on.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.normalise import Normalisation, Recipe, measure
from ..core.rng import stream
from ..core.voxel import Voxel
from ..data.histogram import histogram_lookup
from ..data.resample import resample, resample_labels, working_shape
from ..data.volumes import ImageSource, Volume, open_volumes
from ..data.write import write_image, write_labels
from ..methods import TWO_STAGES, Supervised
from ..methods.base import stretch_channels
from ..nets.chain import ChainSpec, LookupSpec
from ..nets.network_spec import NetSpec, UNetSpec
from ..represent import RepresentationSettings, Semantic
from .domain_streams import mask_drawer, source_pairs, source_volumes, source_voxel
from .drawer import ReadTanh, VolumePredictor
from .run_settings import Run, Source
from .ship import Finish, SnapshotFolder, TrainingResult, export_network, freeze, target_windows
from .trainer import Trainer

Shipped = tuple[TrainingResult, NetSpec, nn.Module]
Redraw = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (*S) in [-1, 1] -> the same
DRAWN_PAIRS = 64  # drawn by default (DeepSynth, its supplement; there of 64 x 64 x 64 voxels)
AS_IT_IS = Normalisation(kind="range", low=-1, high=1)


def cyclegan_xy(run: Run, out: Path, quiet: bool = False) -> Shipped:
    pair = translators(run, out, quiet)
    drawer = VolumePredictor(pair.method.network().get_submodule("to_target"), pair.volumes[0].axes, ReadTanh())
    redrawn = redraw_source(run, out / "translated", lambda image: drawer(image)[0], pair)
    return segmenter(run, out, quiet, source=redrawn)


def cyclegan_yx(run: Run, out: Path, quiet: bool = False) -> Shipped:
    pair = translators(run, out, quiet)
    translator = pair.method.network().get_submodule("to_source")
    return segmenter(run, out, quiet, prepend_network(pair.method.exported_spec(), translator.state_dict()))


def histogram_xy(run: Run, out: Path, quiet: bool = False) -> Shipped:
    table = histogram_lookup(normalise_source(run), normalise_target(run))
    return segmenter(run, out, quiet, source=redraw_source(run, out / "translated", table))


def histogram_yx(run: Run, out: Path, quiet: bool = False) -> Shipped:
    table = histogram_lookup(normalise_target(run), normalise_source(run))
    look_up = LookupSpec(ndim=len(run.patch), knots_in=table.knots_in, knots_out=table.knots_out)
    return segmenter(run, out, quiet, prepend_network(look_up, look_up.build().state_dict()))


def learn_from_drawn_pairs(run: Run, out: Path, quiet: bool = False) -> Shipped:
    return segmenter(run, out, quiet, source=draw_pairs(run, out / "translated", translators(run, out, quiet)))


def prepend_network(first: NetSpec | LookupSpec, weights: dict[str, Tensor]) -> Finish:
    """A function that exports a network behind `first`, which has these weights."""

    def chain_networks(learnt: TrainingResult, run: Run) -> tuple[NetSpec, nn.Module]:
        spec, network = learnt.method.exported_spec(), learnt.method.network()
        assert isinstance(spec, UNetSpec), "all recipes segment with a U-Net"
        both = ChainSpec(first=first, segment=spec)
        chain = both.build()
        chain.first.load_state_dict(weights)
        chain.segment.load_state_dict(network.state_dict())
        if spec.norm == "batch":
            return freeze(both, chain, target_windows(learnt, run), learnt.cast)
        return both, chain

    return chain_networks


STAGES: dict[str, Callable[[Run, Path, bool], Shipped]] = {
    "cyclegan-xy": cyclegan_xy, "cyclegan-yx": cyclegan_yx, "histogram-xy": histogram_xy, "histogram-yx": histogram_yx,
    "cgunet": learn_from_drawn_pairs, "deepsynth": learn_from_drawn_pairs, "adgan-unet": learn_from_drawn_pairs,
}  # fmt: skip


def translators(run: Run, out: Path, quiet: bool) -> TrainingResult:
    """The first network, between source and target or images and masks, with run.options.translate, trained as
    run.translator_train says."""
    recipe = TWO_STAGES[run.method]
    assert recipe.translator is not None, "these recipes translate by a network"
    stage = {"options": run.options.get("translate", {}), "train": run.first_stage(), "translator_train": {}}
    if recipe.learns_from_masks:
        stage |= {"represent": drawn_representation(run), "tune": False}
    wish = run.model_copy(update={"method": recipe.translator.name, "start": None, **stage})
    return Trainer(wish, out / "translate", quiet).run()


def drawn_representation(run: Run) -> RepresentationSettings:
    """How the first network sees masks: as the second one where that is one channel in [0, 1], else as plain masks."""
    fits = run.represent.ranges == ((0, 1),)
    return run.represent if fits else Semantic()


def segmenter(
    run: Run, out: Path, quiet: bool, finish: Finish = export_network, source: Source | None = None
) -> Shipped:
    """A network that learns from the source's labels; run.options.segment are its options.

    finish: what is shipped of it. source: in place of the run's.
    """
    stage = {"options": run.options.get("segment", {}), "source": source or run.source, "translator_train": {}}
    wish = run.model_copy(update={"method": Supervised.name, **stage})
    learnt = Trainer(wish, out / "segment", quiet, SnapshotFolder(out, run, finish)).run()
    return learnt, *finish(learnt, run)


def draw_pairs(run: Run, out: Path, learnt: TrainingResult) -> Source:
    """Synthetic labels and the images that the first network draws of their masks, written to OUT once.

    Each is twice as large as a patch along every axis, so that patches are of many places.
    """
    represent, draw = learnt.method.task.represent, mask_drawer(run)
    assert draw is not None, "the first network has learnt from masks"
    axes, working = learnt.volumes[0].axes, learnt.working
    draw_image = VolumePredictor(learnt.method.drawing_network(), axes, ReadTanh())
    shape, count = tuple(2 * n for n in run.patch), int(run.options.get("pairs", DRAWN_PAIRS))
    if learnt.fabric.is_global_zero:
        for i in range(count):
            there = [out / kind / f"{i:03d}.tif" for kind in ("images", "labels")]
            if not there[1].exists():
                labels = draw(shape, working, stream(run.seed, "pairs", i))
                mask = torch.from_numpy(represent.encode(labels, working))[None]
                (image,) = draw_image(stretch_channels(represent, mask)[0].numpy())
                write_image(there[0], image, working, axes)
                write_labels(there[1], labels, working, axes)
    learnt.fabric.barrier()
    images, labels_of = (ImageSource(paths=str(out / kind)) for kind in ("images", "labels"))
    return Source(images=images, labels=labels_of, normalise=AS_IT_IS, augment=run.data.augment)


def redraw_source(run: Run, out: Path, redraw: Redraw, learnt: TrainingResult | None = None) -> Source:
    """The source in another look, on the grid that networks work on, written to OUT once."""
    source = source_volumes(run)
    pairs = source_pairs(source)
    working = source_voxel(source, [image for image, _ in pairs], len(run.patch))
    if learnt is None or learnt.fabric.is_global_zero:
        level = histogram_lookup(normalise_source(run), normalise_target(run)) if source.match_levels else np.asarray
        for image, truth in pairs:
            there = [out / kind / f"{image.name}.tif" for kind in ("images", "labels")]
            if not there[1].exists():
                shape = working_shape(image.shape, image.voxel, working)
                seen = level(to_working_grid(image, source.normalise, working))
                write_image(there[0], redraw(seen), working, image.axes)
                write_labels(there[1], resample_labels(truth.load(), shape), working, image.axes)
    if learnt is not None:
        learnt.fabric.barrier()
    images, labels = (ImageSource(paths=str(out / kind)) for kind in ("images", "labels"))
    done = {"normalise": AS_IT_IS, "voxel": None, "match_levels": False, "mask_above": None, "fraction": 1.0}
    return source.model_copy(update={"images": images, "labels": labels, **done})


def normalise_source(run: Run) -> list[NDArray[np.float32]]:
    source = source_volumes(run)
    volumes = open_volumes(source.images)
    working = source_voxel(source, volumes, len(run.patch))
    return [to_working_grid(volume, source.normalise, working) for volume in volumes]


def normalise_target(run: Run) -> list[NDArray[np.float32]]:
    raws = [volume.load() for volume in open_volumes(run.data.images)]
    return [measure(run.data.normalise, [[raw]])(raw) for raw in raws]


def to_working_grid(volume: Volume, normalise: Recipe, working: Voxel) -> NDArray[np.float32]:
    """A whole volume as networks see it."""
    raw = volume.load()
    return resample(measure(normalise, [[raw]])(raw), working_shape(volume.shape, volume.voxel, working))
