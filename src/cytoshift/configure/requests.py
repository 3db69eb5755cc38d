"""What a user asks of a run, and the settings that come of it: measured in raw images, or taken from labelled ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..core.errors import UserError
from ..core.settings import Settings
from ..data.volumes import ImageSource, open_volumes
from ..labels.pseudo import IGNORED
from ..methods import KNOWN, METHODS, TWO_STAGES, CySGAN
from ..model import Segmenter
from ..model.shipped import nuclei_model
from ..train.run_settings import Run
from ..trust.size_fit import fit
from . import class_settings, randomise, recipe, self_training, source_labels

POLARITIES = ("auto", "bright", "dark")
DRAWN_REPRESENTATIONS = ("ternary", "semantic")  # representations of masks that are drawn
LEARNT_REPRESENTATIONS = ("bcd", "bc", "semantic", "ternary")  # and of labels that are given

Labels = str | Path | Mapping[str, str | Path]  # files of one class, or of several by their names


class Requests(Settings):
    """What the user wants of a run, besides its method and its images.

    Parameters
    ----------
    polarity
        Whether objects are bright or dark; "auto" measures it.
    preset
        "laptop", or "paper" for the sizes of the paper; some methods have more.
    represent
        How instances are written as channels. Default: "semantic" of masks that are drawn, "bcd" of labels.
    start
        Folder or name of the model that the training begins from, for methods with source labels of one class.
        Default: none; of selftrain, that of the package.
    channels
        Several classes, each in a channel of its own: {"golgi": 0, "nuclei": 1}.
    cells
        With `channels`: draw Golgi and nuclei as in "retina" or "ss-seg-cyclegan", and measure nothing.
    assume_same_size
        Objects of source and target are equally large and dark: measure none of the target.
    """

    renamed: ClassVar[dict[str, str]] = {"alike": "assume_same_size"}

    polarity: str = "auto"
    preset: str = "laptop"
    represent: str | None = None
    start: str | None = None
    channels: dict[str, int | str] | None = None
    cells: str | None = None
    assume_same_size: bool = False


@dataclass(frozen=True)
class LabelledSource:
    """Images of another modality with their labels.

    Parameters
    ----------
    images
        With the channel of each class where there are several.
    labels
        Of one class, or of several by their names.
    mask_above
        Labels are a mask, whose connected parts above this value are objects. None: a number for each object.
    ignore_id
        Number of voxels that are neither an object nor background. None: there are none.
    """

    images: ImageSource
    labels: ImageSource | dict[str, ImageSource]
    mask_above: float | None = None
    ignore_id: int | None = None


@dataclass(frozen=True)
class RunConfiguration:
    """Settings of a run.

    Parameters
    ----------
    run
        The settings.
    text
        The same as a commented run.yaml.
    sentence
        What was measured, for a person.
    """

    run: Run
    text: str
    sentence: str


def open_source(
    images: ImageSource, labels: Labels, mask_above: float | None = None, names: tuple[str, ...] = (),
    ignore_id: int | None = None, labels_suffix: str | None = None,
) -> LabelledSource:  # fmt: skip
    """Images and the places of their labels, which share axes, voxel size and frames.

    Parameters
    ----------
    images
        The source's images; what is declared of them holds for the labels too, but for channels.
    labels
        A file, folder or glob; of several classes a folder that holds one for each, or their places by name.
    mask_above, ignore_id
        See `LabelledSource`.
    names
        Of the classes, where there are several.
    labels_suffix
        What names of label files have behind those of their images, as _masks.

    Raises
    ------
    UserError
        Where the labels of a class are missing.
    """
    flat = images.axes and "".join(axis for axis in images.axes if axis in "tzyx")  # labels have no channels
    said = {"channel": None, "axes": flat, "level": 0, "suffix": labels_suffix}
    if labels_suffix is not None:
        images = images.model_copy(update={"without": labels_suffix})

    def of(path: str | Path) -> ImageSource:
        return images.model_copy(update=said | {"paths": str(path), "without": None})

    if not names:
        if not isinstance(labels, str | Path):
            raise UserError(f"labels of {', '.join(labels)} are given, but not their channels; pass `channels`")
        return LabelledSource(images, of(labels), mask_above, ignore_id)
    numbers = images.channel if isinstance(images.channel, tuple) else (images.channel,)
    if images.channel is not None and (len(numbers) != len(names) or "luminance" in numbers):
        raise UserError(
            f"`source_channel={','.join(map(str, numbers))}` does not have one number for each of {', '.join(names)}; "
            "write for example 0,1, in the order of `channels`"
        )
    if isinstance(labels, str | Path):
        folder = Path(labels)
        labels = {path.name: path for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}
        if folder.is_dir() and (missing := next((name for name in names if name not in labels), None)):
            raise UserError(
                f"{folder} has no folder '{missing}'; put the labels of each class into a folder of its name"
            )
    if not set(names) <= set(labels):
        raise UserError(
            f"the source does not say where the labels of {', '.join(names)} are; give a folder that holds one for "
            f"each, or {','.join(f'{name}=PATH' for name in names)}"
        )
    return LabelledSource(images, {name: of(labels[name]) for name in names}, mask_above, ignore_id)


def configure(
    method: str,
    target: ImageSource,
    source: LabelledSource | None = None,
    requests: Requests | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RunConfiguration:
    """Settings of a run of a method for these images.

    Parameters
    ----------
    method
        Name of a method or of a recipe of two stages.
    target
        The images to segment, which are measured.
    source
        Labelled images, for methods that learn from labels.
    requests
        See `Requests`.
    progress
        Is called with the number of measured images and that of all.

    Raises
    ------
    UserError
        Where the method does not exist, or requests and images do not fit it or each other.
    """
    asked = requests or Requests()
    refuse_misfits(method, target, source, asked)
    whole = source is not None or randomise.synthesises(method)  # images come with labels
    known = LEARNT_REPRESENTATIONS if whole or method in TWO_STAGES else DRAWN_REPRESENTATIONS
    represent: Any = asked.represent or ("bcd" if whole else "semantic")
    if represent not in known:
        raise unknown_value("represent", represent, known)
    if method == self_training.METHOD and source is not None:
        return configure_selftraining(target, source, asked, progress)
    if source is not None:
        ways = configure_source_classes if asked.channels else configure_source
        return ways(method, target, source, asked, represent, progress)
    if whole:
        return configure_synthetic(target, asked, represent, progress)
    return (configure_mask_classes if asked.channels else configure_masks)(method, target, asked, represent, progress)


def refuse_misfits(method: str, target: ImageSource, source: LabelledSource | None, asked: Requests) -> None:
    """Raises UserError where method, images and requests do not go together."""
    if method not in KNOWN or not KNOWN[method].segments:
        there = ", ".join(name for name, kind in KNOWN.items() if kind.segments)
        raise UserError(f"there is no method '{method}' that segments, there are {there}; pass one of them")
    if source_labels.learns_from_source(method) and source is None:
        raise UserError(
            f"method '{method}' learns from labelled images, but none are given; pass `source` with images and labels"
        )
    if source is not None and not source_labels.learns_from_source(method):
        raise UserError(f"method '{method}' learns without labels; leave out `source`, or take {CySGAN.name}")
    if asked.start is not None and (source is None or asked.channels):
        raise UserError(
            f"`start={asked.start}` is for methods with source labels of one class; leave it out, or pass `source`"
        )
    if asked.polarity not in POLARITIES:
        raise unknown_value("polarity", asked.polarity, POLARITIES)
    if asked.channels is None:
        if asked.cells is not None:
            raise UserError(
                "`cells` draws several classes, but `channels` names none; pass `channels=golgi=0,nuclei=1`"
            )
        return
    if method not in METHODS or not METHODS[method].supports_classes:
        able = ", ".join(name for name, kind in METHODS.items() if kind.supports_classes)
        raise UserError(f"{method} segments one class; leave `channels` out, or take {able}")
    if target.channel is not None:
        raise UserError("`channel` chooses one channel, `channels` several; leave one of them out")


def unknown_value(setting: str, value: str, known: tuple[str, ...]) -> UserError:
    return UserError(f"`{setting}={value}` does not exist here, there are {', '.join(known)}; pass one of them")


def configure_masks(
    method: str, target: ImageSource, asked: Requests, represent: str,
    progress: recipe.Told | None,
) -> RunConfiguration:  # fmt: skip
    """A method that learns from masks drawn like the objects seen."""
    survey = recipe.survey_images(target, polarity_literal(asked), progress)
    run = recipe.settings(survey, asked.preset, method=method, represent=represent)
    return RunConfiguration(run, recipe.to_commented_yaml(run, survey), survey.sentence())


def configure_synthetic(
    target: ImageSource, asked: Requests, represent: randomise.Written, progress: recipe.Told | None
) -> RunConfiguration:
    """A method that learns from synthetic images with objects like those seen."""
    survey = recipe.survey_images(target, polarity_literal(asked), progress)
    run = randomise.settings(survey, asked.preset, represent=represent)
    return RunConfiguration(run, randomise.to_commented_yaml(run, survey), survey.sentence())


def configure_mask_classes(
    method: str, target: ImageSource, asked: Requests, represent: Literal["ternary", "semantic"],
    progress: recipe.Told | None,
) -> RunConfiguration:  # fmt: skip
    """A method that learns from masks of several classes, measured in their channels, or drawn as `cells`."""
    surveys = class_settings.look(target, asked.channels or {}, polarity_literal(asked), asked.cells, progress)
    run = class_settings.settings(surveys, asked.preset, method=method, represent=represent, cells=asked.cells)
    sentence = "\n".join(f"{name}: {survey.sentence()}" for name, survey in surveys.items())
    return RunConfiguration(run, class_settings.to_commented_yaml(run, surveys), sentence)


def configure_source(
    method: str, target: ImageSource, source: LabelledSource, asked: Requests, represent: str,
    progress: recipe.Told | None,
) -> RunConfiguration:  # fmt: skip
    """A method that learns from labels of other images."""
    assert isinstance(source.labels, ImageSource), "of one class"
    stock = source_labels.survey_source(source.images, source.labels, source.mask_above, source.ignore_id)
    if asked.assume_same_size:
        survey = source_labels.assume_same_size(target, stock)
    else:
        seen = source_labels.adopt_source_sizes(recipe.survey_images(target, polarity_literal(asked), progress), stock)
        survey = source_labels.add_source_notes(seen, stock, method)
    run = source_labels.settings_from_source(
        survey, stock, asked.preset, method=method, represent=represent, start=asked.start
    )
    notes = [*survey.measured.notes, *stock.doubts]
    words = [f"{survey.sentence()}; {stock.sentence()}", *(f"note: {note}" for note in notes)]
    return RunConfiguration(run, source_labels.to_commented_yaml(run, survey, stock), "\n".join(words))


def configure_source_classes(
    method: str, target: ImageSource, source: LabelledSource, asked: Requests, represent: str,
    progress: recipe.Told | None,
) -> RunConfiguration:  # fmt: skip
    """A method that learns from labels of several classes; the source's channels are the target's by default."""
    assert isinstance(source.labels, dict) and asked.channels, "of several classes"
    given: Any = source.images.channel
    numbers = asked.channels.values() if given is None else given if isinstance(given, tuple) else (given,)
    theirs = dict(zip(asked.channels, numbers))
    images = source.images.model_copy(update={"channel": None})
    stock = class_settings.survey_source_classes(images, source.labels, theirs, source.mask_above, source.ignore_id)
    run = class_settings.settings_from_class_source(
        target, asked.channels, stock, asked.preset, method=method, represent=represent
    )
    sentence = "\n".join(f"{name}: {one.sentence()}" for name, one in stock.items())
    return RunConfiguration(run, class_settings.to_commented_source_yaml(run, stock), sentence)


def configure_selftraining(
    target: ImageSource, source: LabelledSource, asked: Requests, progress: recipe.Told | None
) -> RunConfiguration:
    """A trained model, fitted to the images, that goes on with labels of them."""
    assert isinstance(source.labels, ImageSource), "of one class"
    volumes = open_volumes(target)
    start = asked.start or nuclei_model(volumes[0].voxel.ndim)
    model = Segmenter.load(start)
    polarity = asked.polarity if model.diameter is not None else "auto"
    told = (lambda share: progress(round(100 * share), 100)) if progress else (lambda share: None)
    fitted = fit(model, volumes, polarity=polarity, told=told)
    ignore_id = IGNORED if source.ignore_id is None else source.ignore_id
    stock = source_labels.survey_source(source.images, source.labels, source.mask_above, ignore_id)
    run = self_training.settings(fitted.segmenter, start, target, stock, preset=asked.preset)
    words = [fitted.sentence or f"{start} as it is", stock.sentence(), *(f"note: {note}" for note in stock.doubts)]
    return RunConfiguration(run, self_training.to_commented_yaml(run, stock), "; ".join(words))


def polarity_literal(asked: Requests) -> Any:
    """Of the literal type that the survey takes; `refuse_misfits` has looked at it."""
    return asked.polarity
