"""Settings of a run with source labels: objects of two modalities get the same size and polarity.

The target is measured without labels (`recipe.survey_images`), the source by its labels. The voxel size of the networks
is chosen so that the median object of the target is some 20 voxels across (10 in 3D on a laptop), that of the source so
that its objects have the same size. Dark objects are inverted on either side.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.no_data import fill_by_median
from ..core.normalise import sample_voxels
from ..core.settings import parse
from ..core.voxel import MICROMETRE, Voxel
from ..data.corrupt import LAPTOP, LAPTOP_2D, PAPER, PAPER_2D
from ..data.label_checks import check_labels
from ..data.label_pairs import Pairs, connected_objects, known_labels, match_names
from ..data.volumes import ImageSource, Volume, crop_middle, open_labels, open_volumes
from ..labels.filters import touches_border
from ..labels.ids import compact_labels
from ..labels.objects import equivalent_diameter
from ..measure.measurement import Measurement, Quantiles, quantiles
from ..methods import KNOWN, METHODS, TWO_STAGES, CySGAN, Supervised
from ..methods.backbone import Backbone
from ..model import Segmenter
from ..train.run_settings import Run
from .preset_choice import EVEN, modality_gap_settings, presets
from .recipe import SMALLEST, Aim, Survey, commented_yaml, patch, round_digits

AIMS = {
    "laptop-2d": Aim(10, 20, 32, (128, 128)),
    "laptop-3d": Aim(6, 10, 12, (16, 64, 64)),
    "paper-2d": Aim(10, 20, 40, (256, 256)),
    "paper-3d": Aim(8, 16, 32, (32, 128, 128)),
}
# At 17 pixels across, in the gentle game, nuclei and the ground between them changed places (simulated micrographs of
# electrons for fluorescence, one seed); at 10 they did not, for whatever reason, and steps take a third of the time.
FAR_2D = Aim(6, 10, 12, (64, 64))
SAME_SIZE = 1.5  # sizes that differ by less are one size, where both sides are calibrated
SHORTEST_SIDE = 16  # voxels: what these networks can take
FINEST_STRETCH = 2.0  # the target is stretched at most by this
PLAIN_DICE = 0.65  # Dice from which on brightness alone tells objects: the modalities are near to each other
# Objects; fewer do not show discriminators how a target looks: with 8, CySGAN did far worse than no adaptation.
FEW_OBJECTS = 30
CROWDED = 3.0  # times as much covered by objects: a source this much emptier has failed, one about as crowded has not
MEASURED_VOXELS = 2**26  # voxels of a labelled image that are measured
PAIR = 2  # sections of a patch, for methods that compare them
RING_VOXELS = 3  # voxels around objects that tell what is beside them
# Measured on the simulated pair of another seed (F1@0.5 of `supervised`): in 2D after 400 steps 0.23 with none, 0.71
# with all patches repainted; from the weights of nuclei-2d 0.54, 0.72 with half of them and 0.74 with all; in 3D after
# 1000 steps 0.21 and 0.76 (with `levels`). Only where the polarity of the target's objects was measured, as objects
# are painted bright. Three seeds and the test set: docs/methods/what-adapts.md.
REPAINTED = {"repaint": 1.0}
CORRUPTIONS = {(True, 2): LAPTOP_2D, (True, 3): LAPTOP, (False, 2): PAPER_2D, (False, 3): PAPER}  # laptop, axes
LR_FROM_MODEL = 3e-4  # at most, where the training begins from a model


@dataclass(frozen=True)
class SourceSurvey:
    """Labelled images and what their labels say.

    diameters: of whole objects, in the unit of `voxel`. mask_above: the labels are a mask, objects its connected parts
    above this value. alone: how well brightness alone tells objects: Dice of what is beyond Otsu's threshold, on the
    objects' side of it. share: of the field that objects cover. doubts: sentences on labels that look like masks.
    ignore_id: of voxels that are neither an object nor background.
    """

    images: ImageSource
    labels: ImageSource
    voxel: Voxel
    objects: int
    diameters: Quantiles
    dark: bool
    alone: float
    mask_above: float | None = None
    share: float = 0.0
    doubts: tuple[str, ...] = ()
    ignore_id: int | None = None

    @property
    def diameter(self) -> float:
        """The median."""
        return self.diameters[50]

    def sentence(self) -> str:
        kind = "dark" if self.dark else "bright"
        return (
            f"the source has {self.objects} {kind} objects, diameter {self.diameter:.3g} {self.voxel.unit}; brightness "
            f"alone finds them with a Dice of {self.alone:.2f}"
        )


def learns_from_source(method: str) -> bool:
    """Whether a method, or a recipe of two stages, learns from labels of another modality."""
    known = METHODS.get(method)
    recipe = TWO_STAGES.get(method)
    if recipe is not None:
        return not recipe.learns_from_masks
    return known is not None and "source" in known.batch.__annotations__


def survey_source(
    images: ImageSource, labels: ImageSource, mask_above: float | None = None, ignore_id: int | None = None
) -> SourceSurvey:
    """Open labelled images and measure their objects. Raises UserError where they do not pair or hold no object."""
    pairs = match_names(open_volumes(images), open_labels(labels), "source")
    whole, every, contrast, found, cover = [], [], [], [], []
    for image, truth in ([crop_middle(one, MEASURED_VOXELS) for one in pair] for pair in pairs):
        array = known_labels(connected_objects(truth, mask_above, ignore_id), ignore_id).load()
        numbered = compact_labels(array)
        cover.append(float((array != 0).mean()))
        if not len(numbered.ids):
            continue
        volumes = np.asarray(numbered.voxels * image.voxel.volume, dtype=np.float64)
        sizes = equivalent_diameter(volumes, image.voxel.ndim)
        whole += list(sizes[~touches_border(numbered, range(array.ndim))])
        every += list(sizes)
        contrast.append(brightness_difference(image, np.asarray(array != 0)))
        found.append(brightness_dice(image, np.asarray(array != 0)))
    if not every:
        raise UserError(f"the labels of {pairs[0][0].name} and the other source images hold no object; check `source`")
    dark = float(np.median(contrast)) < 0
    return SourceSurvey(
        images, labels, pairs[0][0].voxel, len(every), quantiles(whole or every), dark,
        float(np.median([one[dark] for one in found])), mask_above, float(np.mean(cover)),
        label_doubts(pairs, ignore_id) if mask_above is None else (), ignore_id,
    )  # fmt: skip


def label_doubts(pairs: Pairs, ignore_id: int | None) -> tuple[str, ...]:
    """Sentences on labels that look like masks."""
    return tuple(check_labels([known_labels(truth, ignore_id) for _, truth in pairs], "source_mask_above"))


def assume_same_size(images: ImageSource, source: SourceSurvey) -> Survey:
    """The target as if its objects were as large and as dark as the source's; nothing is measured in it.

    For organelles in a crowded field, where other structures stand out in raw images. Raises UserError if the two sides
    have different units.
    """
    volumes = open_volumes(images)
    voxel = volumes[0].voxel
    if voxel.unit != source.voxel.unit:
        raise UserError(
            f"the target is in {voxel.unit}, but the source is in {source.voxel.unit}; declare both voxel sizes in "
            f"one unit to assume the same size of their objects"
        )
    seen = Measurement(
        unit=voxel.unit, ndim=voxel.ndim, polarity="dark" if source.dark else "bright", polarity_confidence=1.0,
        objects=source.objects, diameters=source.diameters, whole_diameters=source.diameters, density={},
        foreground=0.0, elongation={}, axial_elongation=None, confidence=1.0, evidence={},
        images=(), notes=(),
    )  # fmt: skip
    words = "objects of the target are taken to be like the source's"
    return Survey(images, volumes, seen, declared=True, words=words)


def adopt_source_sizes(survey: Survey, source: SourceSurvey) -> Survey:
    """The target with the sizes of the source's objects, where both are in micrometres and alike up to SAME_SIZE.

    Without labels, the objects of a dim and noisy volume appear in pieces, and so too small: objects of 3.6 um were
    measured as 2.8 um in simulated expansion microscopy, and 16 % too small in a real embryo. A calibration is more
    exact.
    """
    seen, source_size = survey.measured, source.diameter
    ratio = source_size / seen.whole_diameters[50]
    if {seen.unit, source.voxel.unit} != {MICROMETRE} or not 1 / SAME_SIZE < ratio < SAME_SIZE:
        return survey
    note = (
        f"objects of the source are {ratio:.2f} times as large as those seen here; both sides are calibrated, so "
        f"{source_size:.3g} um is taken for both"
    )
    measured = replace(seen, whole_diameters=source.diameters, notes=(*seen.notes, note))
    return replace(survey, measured=measured, words=survey.sentence())


def add_source_notes(survey: Survey, source: SourceSurvey, method: str) -> Survey:
    """The target with notes on what makes adversarial training fail: too few objects, or another density than the
    source.
    """
    seen, notes = survey.measured, []
    if not (method in KNOWN and KNOWN[method].translates) or not seen.images:  # nothing was measured
        return survey
    if seen.objects < FEW_OBJECTS:
        notes.append(
            f"the target shows {seen.objects} objects, too few to learn its look from; compare with "
            f"'new {Supervised.name}', which adapts nothing"
        )
    ratio = source.share / max(seen.foreground, 1e-4)
    if not 1 / CROWDED < ratio < CROWDED:
        notes.append(
            f"objects cover {100 * source.share:.2g} % of the source and {100 * seen.foreground:.2g} % of the target, "
            "and discriminators make the two alike by adding or dropping objects; take a source that is as crowded, "
            "or set source.match_foreground=true"
        )
    return replace(survey, measured=replace(seen, notes=(*seen.notes, *notes)))


def brightness_difference(image: Volume, inside: NDArray[np.bool_]) -> float:
    """How much lighter objects are than what lies around them, in standard deviations of the image."""
    from scipy.ndimage import binary_dilation

    raw = np.asarray(fill_by_median(image.load())).astype(np.float32)
    around = binary_dilation(inside, iterations=RING_VOXELS) & ~inside
    if not around.any():
        return 0.0
    return float((np.median(raw[inside]) - np.median(raw[around])) / max(float(raw.std()), 1e-12))


def brightness_dice(image: Volume, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Dice of the objects with what is brighter, and with what is darker, than Otsu's threshold."""
    from skimage.filters import threshold_otsu

    raw = np.asarray(fill_by_median(image.load()))
    if raw.min() == raw.max():
        return 0.0, 0.0
    bright = raw > threshold_otsu(sample_voxels(raw))
    dice = lambda found: 2 * float((found & inside).sum()) / float(found.sum() + inside.sum())
    return dice(bright), dice(~bright)


def settings_from_source(
    survey: Survey, source: SourceSurvey, preset: str = "laptop", *, method: str = CySGAN.name, represent: str = "bcd",
    start: str | None = None, seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run of `method` with the labels of `source` for the images of `survey`.

    start: folder or name of a model that it begins from; the network is then that of the model. Raises UserError where
    method, preset, start and images do not fit.
    """
    ndim = survey.volumes[0].voxel.ndim
    if source.voxel.ndim != ndim:
        raise UserError(
            f"the source is {source.voxel.ndim}D, but the target is {ndim}D; give slices of both, or volumes of both"
        )
    name = preset if preset.endswith("d") else f"{preset}-{ndim}d"
    far = source.alone < PLAIN_DICE
    fixed = presets(method, name, far)
    if start is not None:
        fixed = begin_from(start, method, survey, represent, fixed)
    aim = FAR_2D if far and name == "laptop-2d" else AIMS[name.replace("tuned", "paper")]
    working = resolution(survey, aim)
    ratio = source.diameter / survey.measured.whole_diameters[50]
    lenders = tuple(round_digits(size * ratio) for size in working.size)
    corrupt = CORRUPTIONS["laptop" in name, ndim].model_dump(mode="json", exclude_defaults=True)
    normalise = {"kind": "percentile", "low": 0.5, "high": 99.8}
    box = patch(survey, working, fixed.get("patch", aim.patch), SHORTEST_SIDE)
    gap = 1
    if KNOWN[method].compares_sections:
        gap, box = section_gap(survey, source), (PAIR, *box[1:])
    return parse(
        Run,
        {
            "method": method,
            "seed": seed,
            "data": {
                "images": survey.source.model_dump(mode="json", exclude_defaults=True),
                "normalise": normalise | {"invert": survey.is_dark},
                "voxel": None if {volume.voxel for volume in survey.volumes} == {working} else working.size,
                "corrupt": corrupt,
            },
            "source": {
                "images": source.images.model_dump(mode="json", exclude_defaults=True),
                "labels": source.labels.model_dump(mode="json", exclude_defaults=True),
                "normalise": normalise | {"invert": source.dark},
                "voxel": lenders,
                "corrupt": corrupt,
                "match_foreground": False,
                "match_levels": far and ndim == 3 and bool(modality_gap_settings(method, name)),
                **({"appearance": REPAINTED} if far and is_paintable(survey, represent, name) else {}),
                **({} if source.mask_above is None else {"mask_above": source.mask_above}),
                **({} if source.ignore_id is None else {"ignore_id": source.ignore_id}),
                **({} if gap == 1 else {"section_step": gap}),
            },
            "patch": box,
            "represent": {
                "kind": represent,
                **({"threshold": EVEN} if represent == "semantic" else {}),
                "smallest": round_digits(SMALLEST * survey.measured.whole_diameters[5]),
            },
            "tune": "laptop" in name,
            **({} if start is None else {"start": start}),
            **{key: fixed[key] for key in ("options", "train", "translator_train") if key in fixed},
        },
        "the measured settings",
    )


def section_gap(survey: Survey, source: SourceSurvey) -> int:
    """Every how many-th section of the source lies as far from the next one as sections of the target do, as far as its
    stacks have two of them."""
    depth = min(volume.shape[0] for volume in open_volumes(source.images))
    apart = survey.volumes[0].voxel.size[0] / source.voxel.size[0]
    return max(min(round(apart), depth // 2), 1)


def is_paintable(survey: Survey, represent: str, preset: str) -> bool:
    """Whether patches may be synthetic images of bright objects: the target was measured, objects are told apart."""
    return "laptop" in preset and represent != "semantic" and bool(survey.measured.images)


def begin_from(start: str, method: str, survey: Survey, represent: str, fixed: dict[str, Any]) -> dict[str, Any]:
    """A preset whose network is that of a model, which goes on in small steps.

    Raises UserError where the method begins from no model, and where the model is not for such images and labels.
    """
    if method not in METHODS or not issubclass(METHODS[method].settings, Backbone):
        able = ", ".join(name for name, kind in METHODS.items() if issubclass(kind.settings, Backbone))
        raise UserError(f"method '{method}' begins from no model; leave `start` out, or take {able}")
    model, axes = Segmenter.load(start), survey.volumes[0].axes
    if (model.axes, model.representation.kind) != (axes, represent):
        raise UserError(
            f"`start={start}` is a model for '{model.axes}' images and {model.representation.kind}, but these are "
            f"'{axes}' and {represent}; take a model for such images, or leave `start` out"
        )
    options = {key: value for key, value in fixed["options"].items() if key not in Backbone.model_fields}
    return fixed | {"options": options, "train": fixed["train"] | {"lr": min(fixed["train"]["lr"], LR_FROM_MODEL)}}


def resolution(survey: Survey, aim: Aim) -> Voxel:
    """The voxel size to work at: as it is where the median object is `aim` voxels across in the plane.

    A coarse z stays coarse: the networks' kernels follow the voxel size.
    """
    voxels = [volume.voxel for volume in survey.volumes]
    median = survey.measured.whole_diameters[50]
    fine = float(np.median([voxel.size[-1] for voxel in voxels]))
    across = median / fine
    if not aim.least <= across <= aim.most:
        fine = round_digits(max(median / aim.best, fine / FINEST_STRETCH))
    elif len(set(voxels)) == 1:
        return voxels[0]
    if voxels[0].ndim == 2:
        return Voxel((fine, fine), voxels[0].unit)
    z = float(np.median([voxel.size[0] for voxel in voxels]))
    return Voxel((max(round_digits(z), fine), fine, fine), voxels[0].unit)


def to_commented_yaml(run: Run, survey: Survey, source: SourceSurvey) -> str:
    """run.yaml: what was set, group by group, each with what it is and where its numbers come from."""
    across = survey.measured.whole_diameters[50] / min(run.data.voxel or survey.volumes[0].voxel.size)
    is_spaced = run.source is not None and run.source.section_step > 1
    spaced = ("section_step: every so many-th section, as they then lie as far apart as the target's.",) * is_spaced
    words = {
        "data": (
            "The target: what the model is for. Its labels are not known.",
            f"invert: its objects are {survey.measured.polarity}; networks see bright ones.",
            f"voxel: the voxel size of the networks; the median object is {across:.0f} voxels across.",
            "corrupt: EM artefacts that are added to images; the cycle has to remove them.",
        ),
        "source": (
            "The source data set, whose labels are used.",
            f"invert: its objects are {'dark' if source.dark else 'bright'} (measured with its labels).",
            "voxel: the size that becomes one voxel of the networks, so that its objects are as large as the target's.",
            "match_foreground: patches are chosen to be covered by objects as much as those of the target seem to be.",
            "match_levels: intensities get the distribution of the target's, where the two differ much.",
            "appearance: chance that a patch is shown as a synthetic image of its labels, by random contrast.",
            *spaced,
        ),
        "represent": (
            "How instances are written and read.",
            f"smallest: equivalent diameter of the smallest object, in {survey.measured.unit}.",
        ),
        "start": ("The model that the training begins from; its network is taken.",),
        "tune": ("Choose the decoder's thresholds on the source's labels once training is over.",),
        "translator_train": ("How the first network, which translates, is trained where it differs from `train`.",),
    }
    notes = (f"Note: {note}." for note in (*survey.measured.notes, *source.doubts))
    return commented_yaml(run, words, f"{survey.sentence()}; {source.sentence()}.", *notes)
