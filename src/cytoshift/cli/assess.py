"""cytoshift assess: is a model fit for these images, and if not, what then?"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.volumes import Volume
    from ..measure.measurement import Measurement
    from ..model import Segmenter
    from ..trust.assess import Assessment, Verdict
    from ..trust.judge import Told

CODES: "dict[Verdict, int]" = {"use": 0, "adapt": 3, "train": 4}
WORDS: "dict[Verdict, str]" = {
    "use": "use this model",
    "adapt": "adapt it: train on these images with its settings",
    "train": "train a new model",
}


def assess(
    images: inputs.Images,
    model: Annotated[
        list[Path] | None, typer.Option("--model", "-m", help="Model folder; repeatable. The best one is recommended.")
    ] = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    level: inputs.Level = 0,
    voxel: inputs.VoxelSize = None,
    unit: inputs.Unit = None,
    frames: inputs.Frames = None,
    skip_bad: inputs.SkipBad = False,
    device: inputs.Device = "auto",
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Say whether to use a model for these images, to adapt it, or to train a new one, with the evidence and the next
    command. Without --model: which training suits the images.

    Exit codes: 0 use the model (or, without one: train without labels); 3 adapt it; 4 train a new one (or: labels of
    another modality are needed); 2 the request cannot be met.
    """
    from ..core.progress import Progress
    from ..data.volumes import image_source, open_volumes
    from ..model import Segmenter
    from ..trust.assess import assess as judged
    from ..trust.assess import describe_learnability
    from .segment import fit_to_sizes

    volumes = open_volumes(image_source(list(images), axes, channel, level, voxel, unit, frames, skip_bad))
    given = inputs.image_flags(axes, channel, level, voxel, unit, frames)
    loaded = {
        path: fit_to_sizes(Segmenter.load(path, inputs.choose_device(device)), volumes, quiet=quiet)[0]
        for path in model or []
    }
    found = {}
    with Progress("measuring", 1, quiet=quiet) as progress:
        seen = measure_images(volumes, progress.update)
        for path, one in loaded.items():
            progress.begin(f"trying {path}", 1)
            found[path] = judged(one, volumes, seen, progress.update)
    without, why = describe_learnability(seen, len(volumes))
    models = [
        {"model": path, "verdict": one.verdict, "score": one.score and one.score.value, "evidence": one.evidence}
        for path, one in found.items()
    ]
    told = [(f"{path}: {WORDS[one.verdict]}", one.evidence) for path, one in found.items()]
    if not found:
        told = [(f"train {'without labels' if without else 'with labels of another modality'}", why)]
    code, advice = advise(found, loaded, without, images, given)
    words = "\n".join([*(show_assessment(title, evidence) for title, evidence in told), f"next: {advice}"])
    conclude(
        as_json, words, verb="assess", code=code, models=models, method=method_for(without), because=why, next=advice
    )
    raise typer.Exit(code)


def advise(
    found: "dict[Path, Assessment]", loaded: "dict[Path, Segmenter]", without: bool, images: list[str],
    given: dict[str, object],
) -> tuple[int, str]:  # fmt: skip
    """The exit code, and the next command: with the best model if there is one that helps, or to a new one."""
    flags = [f"--{name}={value}" for name, value in given.items()]
    code, advice = 0 if without else CODES["train"], new_training_hint(without, images, flags)
    if found:
        best = min(found, key=lambda path: (CODES[found[path].verdict], -value(found[path])))
        code = CODES[verdict := found[best].verdict]
        if verdict == "use":
            advice = describe_evidence("segment", best, *images, *flags, "-o", "labels")
        elif verdict == "adapt" and (settings := settings_of(best)):
            advice = adaptation_hint(settings, best, loaded[best], images, given)
    return code, advice


def measure_images(volumes: "Sequence[Volume]", told: "Told") -> "Measurement | None":
    """What the images show; None where nothing stands out in them, or they cannot be measured."""
    from ..configure.recipe import ROOM_BYTES
    from ..data.volumes import load_small
    from ..measure.estimate import estimate

    if volumes[0].channels > 1:
        return None
    try:
        step = lambda done, total: told(done / total)
        return estimate(
            load_small(volumes, ROOM_BYTES), [one.voxel for one in volumes], None, step, [one.name for one in volumes]
        )
    except UserError as error:
        say(f"not measured: {error}", err=True)
        return None


def value(assessment: "Assessment") -> float:
    return assessment.score.value if assessment.score else 0.0


def show_assessment(title: str, evidence: list[str]) -> str:
    return "\n".join([title, *(f"  - {sentence}" for sentence in evidence)])


def describe_evidence(*words: object) -> str:
    return "cytoshift " + shlex.join(map(str, words))


def method_for(without: bool) -> str:
    """What learns without labels, or with those of another modality."""
    from ..methods import ADGAN, CySGAN

    return (ADGAN if without else CySGAN).name


def new_training_hint(without: bool, images: list[str], flags: list[str]) -> str:
    """The way to a new model, without labels or with those of another modality."""
    each = [word for image in images for word in ("--images", image)]
    borrowed = "" if without else " --source SOURCE_IMAGES SOURCE_LABELS"
    start = describe_evidence("new", method_for(without), *each, *flags)
    return f"{start}{borrowed} -o run.yaml && cytoshift train run.yaml"


def settings_of(model: Path) -> Path | None:
    """The run.yaml of the training that a model or a snapshot lies in."""
    folder = model.absolute()  # of a bare name as well
    return next((path for path in (one / "run.yaml" for one in list(folder.parents)[:2]) if path.is_file()), None)


def adaptation_hint(
    settings: Path, model: Path, segmenter: "Segmenter", images: list[str], given: dict[str, object]
) -> str:
    """The training that the model comes from, on these images, at its resolution; where its network can go on, on."""
    paths = images[0] if len(images) == 1 else f"[{','.join(images)}]"
    said = [f"data.images.{name}={f'[{word}]' if ',' in str(word) else word}" for name, word in given.items()]
    size = f"data.voxel=[{','.join(f'{n:g}' for n in segmenter.voxel.size)}]"
    start = [f"start={model}"] if segmenter.spec.kind == "unet" else []
    return describe_evidence("train", settings, f"data.images.paths={paths}", *said, size, *start, "-o", "runs/adapted")
