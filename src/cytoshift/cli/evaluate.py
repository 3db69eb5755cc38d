"""`cytoshift evaluate`: how well labels agree with the truth, as tables and as JSON."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude, say
from .evaluate_page import page, place, refuse_places, room
from .evaluate_tables import show, show_classes

if TYPE_CHECKING:
    from ..bench.compare import Pairs
    from ..metrics.evaluation import Report

STDOUT = "-"  # what `--json FILE` of earlier versions took for stdout


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TRUTH PRED",
        help="True labels, then predicted labels: a file each, or folders or globs with the same names.",
    ),
]
Truth = Annotated[str | None, typer.Option("--truth", help="True labels, instead of the first argument.")]
Pred = Annotated[str | None, typer.Option("--pred", help="Predicted labels, instead of the second.")]
JsonFile = Annotated[Path | None, typer.Option("--json-file", help="FILE.json for every number of every image.")]
Page = Annotated[
    Path | None, typer.Option("-o", "--out", help="FILE.html, the report; default: beside the predictions.")
]
Raws = Annotated[
    str | None, typer.Option(help="The images, for the report's pictures; a file, or a folder of the same names.")
]
WithReport = Annotated[bool, typer.Option("--report/--no-report", help="Write a report.")]
Iou = Annotated[float, typer.Option(help="IoU from which an object counts as found.")]
Confidence = Annotated[
    list[str] | None,
    inputs.advanced(help="Image (or folder of the same names) whose mean over an object ranks it; repeatable."),
]
MaskAbove = Annotated[
    float | None, inputs.advanced(help="The truth is a mask: connected components above this value are objects.")
]
PredMaskAbove = Annotated[float | None, inputs.advanced(help="The same for the predictions.")]
WithPairs = Annotated[
    bool,
    typer.Option(
        "--pairs",
        help="Also score pairs. With several classes, a number that two classes share in the truth is a pair.",
    ),
]


def evaluate(
    paths: Paths = None,
    truth: Truth = None,
    pred: Pred = None,
    json_file: JsonFile = None,
    out: Page = None,
    images: Raws = None,
    report: WithReport = True,
    iou: Iou = 0.5,
    confidence: Confidence = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    labels_suffix: inputs.LabelsSuffix = None,
    memory: inputs.Memory = "4GB",
    mask_above: MaskAbove = None,
    pred_mask_above: PredMaskAbove = None,
    pairs: WithPairs = False,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Compare labels with the truth.

    Two folders with a folder for each class, as golgi/ and nuclei/, are compared class by class in one table.

    Prints Dice, precision, recall and IoU of the foreground; precision, recall and F1 of objects; AP (larger objects
    first), PQ, adapted Rand, VOI, and SEG, DET and OP_csb of the Cell Tracking Challenge. Images of any size give the
    same numbers as in one piece. Images that do not fit into memory are left out of the report.

    Earlier versions took the predictions first. Labels that 'cytoshift segment' wrote are the prediction in either
    order. Where this does not decide, --truth and --pred are needed.
    """
    from ..bench.compare import classes
    from ..metrics.matching import refuse_threshold

    refuse_threshold(iou)
    if not report and (out or images):
        raise UserError("-o and --images need the report, but --no-report leaves it out; pass one or the other")
    given, json_file, as_json = without_old_json(paths or [], json_file, as_json)
    true, predicted = resolve_sides(given, truth, pred)
    names = classes(Path(predicted), Path(true))
    refuse_places([json_file, out], [predicted, true], [images, *(confidence or [])], names, overwrite)
    how = Comparison(iou, inputs.memory_budget(memory), axes, channel, quiet, labels_suffix)
    outcome = Outcome(json_file, as_json, {}, out is not None, time.perf_counter())
    if names:
        if confidence or images is not None or mask_above is not None or pred_mask_above is not None:
            what = "--images are" if images else "--confidence is" if confidence else "--mask-above is"
            raise UserError(f"{what} for objects of one class; evaluate the classes one by one, or leave it out")
        pages = {name: place(predicted, out, name) for name in names} if report else {}
        compare_classes(predicted, true, names, how, pairs, outcome._replace(pages=pages))
        return
    if pairs:
        raise UserError(
            f"--pairs needs folders of classes, but {predicted} and {true} hold none; pass the folders above them"
        )
    pages = {"": place(predicted, out)} if report else {}
    compare_single(
        predicted, true, (mask_above, pred_mask_above), images, confidence or [], how, outcome._replace(pages=pages)
    )


def without_old_json(
    paths: Sequence[str], json_file: Path | None, as_json: bool
) -> tuple[list[str], Path | None, bool]:
    """Positional arguments, and where the numbers go.

    In earlier versions `--json` took a file, or - for stdout. It is a flag now, as everywhere, and its former file
    stands among the arguments, where no labels end in .json.
    """
    old = [path for path in paths if path == STDOUT or path.lower().endswith(".json")]
    if not old:
        return list(paths), json_file, as_json
    if not as_json or len(old) > 1 or json_file is not None:
        raise UserError(f"{old[0]} holds no labels; pass --json-file {old[0]} to write the numbers there")
    kept = [path for path in paths if path not in old]
    if old[0] == STDOUT:
        say("warning: --json - is --json from this version on", err=True)
        return kept, None, True
    say(f"warning: --json FILE is --json-file FILE from this version on; {old[0]} is written as before", err=True)
    return kept, Path(old[0]), False


def resolve_sides(paths: Sequence[str], truth: str | None, pred: str | None) -> tuple[str, str]:
    """Truth and prediction.

    Two arguments without names stood the other way round in earlier versions, and exchanged they exchange precision and
    recall in silence. So the files have to tell which is which, or the user by name.
    """
    if truth is not None and pred is not None and not paths:
        return truth, pred
    if truth is not None or pred is not None or len(paths) != 2:
        raise UserError("one truth and one prediction are compared; pass TRUTH PRED, or --truth and --pred")
    first, second = paths
    ours = is_segmentation(first), is_segmentation(second)
    if ours == (False, True):
        return first, second
    if ours == (True, False):
        say(
            f"warning: the truth comes first from this version on; {first} was written by 'cytoshift segment' and is "
            f"taken for the prediction, {second} for the truth; write: cytoshift evaluate {second} {first}",
            err=True,
        )
        return second, first
    both = "both were" if ours[0] else "neither was"
    raise UserError(
        f"which of {first} and {second} is the truth? Earlier versions took it last, this version takes it first, and "
        f"{both} written by 'cytoshift segment', so the files do not tell; pass --truth {first} --pred {second}, or "
        f"the other way round"
    )


def is_segmentation(path: str) -> bool:
    """Whether 'cytoshift segment' has left its account of these labels."""
    from ..report.segmentation_page import account_of

    place = Path(path.partition("::")[0])
    return account_of(place) is not None or account_of(place.parent) is not None


class Comparison(NamedTuple):
    """How labels are read and compared. memory: bytes for images and tables. suffix: of the names of true labels."""

    iou: float
    memory: float
    axes: str | None
    channel: str | None
    quiet: bool
    suffix: str | None = None

    def pairs(self, pred: str, truth: str) -> "Pairs":
        """Prediction and truth of each image."""
        from ..bench.compare import open_any, pair_files
        from ..data.volumes import image_source, open_labels

        found, true = (image_source(path, self.axes, self.channel) for path in (pred, truth))
        true = true.model_copy(update={"suffix": self.suffix})
        return pair_files(open_any(open_labels, found), open_any(open_labels, true), pred, truth)

    def files_beside(self, pairs: "Pairs", pred: str, path: str) -> "Pairs":
        """Prediction and another image of the same name, for each pair."""
        from ..bench.compare import open_any, pair_files
        from ..data.volumes import image_source, open_volumes

        source = image_source(path, self.axes).model_copy(update={"without": self.suffix})
        return pair_files([p for p, _ in pairs], open_any(open_volumes, source), pred, path)

    def __call__(self, pairs: "Pairs", maps: "dict[str, Pairs] | None" = None) -> "tuple[dict[str, Report], Report]":
        """Numbers of each image, and of all. Raises UserError where not even single pieces of the files fit."""
        from ..bench.compare import compare
        from ..data.lazy import refuse_pieces

        maps = maps or {}
        for volume in (volume for found in (pairs, *maps.values()) for pair in found for volume in pair):
            refuse_pieces(volume.array, volume.origin, self.memory)
        return compare(pairs, maps, self.iou, self.memory, self.quiet)


class Outcome(NamedTuple):
    """Where numbers and reports go. pages: by class; asked: whether a page is a wish, and to fail without it."""

    json_file: Path | None
    as_json: bool
    pages: dict[str, Path]
    asked: bool
    started: float

    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def write(self, result: dict[str, Any]) -> None:
        """To the file, and as one line on stdout for a program, where that is asked for."""
        if self.json_file:
            from ..core.json_files import write_json
            from ..core.lock import lock_outputs

            with lock_outputs(self.json_file):
                write_json(self.json_file, result)
        if self.as_json:
            conclude(True, "", verb="evaluate", **result)


def compare_single(
    pred: str, truth: str, above: tuple[float | None, float | None], images: str | None, confidence: list[str],
    how: Comparison, outcome: Outcome,
) -> None:  # fmt: skip
    """Compare labels of one class. above: of masks, the truth's and the prediction's."""
    from ..bench.compare import connected_parts, name_maps, summary

    labels = how.pairs(pred, truth)
    warn_of_masks(labels, *above)
    pairs = [
        (connected_parts(one, above[1], how.memory), connected_parts(other, above[0], how.memory))
        for one, other in labels
    ]
    maps = {name: how.files_beside(pairs, pred, path) for name, path in name_maps(confidence).items()}
    raws: Sequence[Any] = [None] * len(pairs)
    if images is not None:
        raws = [raw for _, raw in how.files_beside(pairs, pred, images)]
    pages = outcome.pages if outcome.pages and room(pairs, how.memory, outcome.asked) else {}
    result = summary(pred, truth, *how(pairs, maps))
    if not outcome.as_json:
        show(result)
    try:
        triples = [(p, t, raw) for (p, t), raw in zip(pairs, raws)]
        done = next((page(triples, result, outcome.seconds(), where, outcome.asked) for where in pages.values()), None)
    except UserError:  # what stands against a report loses none of the numbers
        outcome.write(result)
        raise
    outcome.write(result | {"report": str(done)} if done else result)
    if done and not outcome.as_json:
        say(f"report in {done}")


def warn_of_masks(pairs: "Pairs", truth_above: float | None, pred_above: float | None) -> None:
    """Say what looks like a mask and was not declared as one."""
    from ..data.label_checks import check_labels

    preds, truths = [pred for pred, _ in pairs], [truth for _, truth in pairs]
    for volumes, above, name in ((preds, pred_above, "pred_mask_above"), (truths, truth_above, "mask_above")):
        for sentence in check_labels(volumes, name) if above is None else ():
            say(f"warning: {sentence}", err=True)


def compare_classes(
    pred: str, truth: str, names: list[str], how: Comparison, with_pairs: bool, outcome: Outcome
) -> None:  # fmt: skip
    """Compare PRED/NAME with TRUTH/NAME for every class: a column for each, and which object belongs to which."""
    from ..bench.compare import pairings, summary

    found = {name: how.pairs(str(Path(pred) / name), str(Path(truth) / name)) for name in names}
    fits = all(room(images, how.memory, outcome.asked) for images in found.values())
    results = {}
    for name, images in found.items():
        results[name] = summary(str(Path(pred) / name), str(Path(truth) / name), *how(images))
    result: dict[str, Any] = {"iou": how.iou, "classes": results}
    if with_pairs:
        each = pairings(Path(pred), found, how.iou, how.memory)
        result["pairs"] = {f"{a} to {b}": one.as_dict() for (a, b), one in each.items()}
    if not outcome.as_json:
        show_classes(results, result.get("pairs", {}), how.iou)
    seconds = outcome.seconds()
    try:
        drawn = [
            page([(p, t, None) for p, t in found[name]], results[name], seconds, where, outcome.asked)
            for name, where in (outcome.pages if fits else {}).items()
        ]
    except UserError:
        outcome.write(result)
        raise
    kept = [str(where) for where in drawn if where]
    outcome.write(result | ({"reports": kept} if kept else {}))
    if kept and not outcome.as_json:
        say(f"reports in {' and '.join(kept)}")
