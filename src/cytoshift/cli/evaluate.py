"""`cytoshift evaluate`: how well labels agree with the truth, as a table and as JSON."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude, say, shown
from .evaluate_masks import as_objects
from .evaluate_page import page, place, refuse_places, room

if TYPE_CHECKING:
    from rich.table import Table

    from ..data.volumes import ImageSource, Volume
    from ..metrics.report import Report
    from ..predict.compared import Triple

STDOUT = Path("-")
Pairs = Sequence[tuple["Volume", "Volume"]]
ROWS = {
    "dice": "Dice", "precision": "precision", "recall": "recall", "iou": "IoU",
    "object_precision": "object precision at IoU {}", "object_recall": "object recall at IoU {}",
    "object_f1": "object F1 at IoU {}",
    "ap_50": "AP-50", "ap_75": "AP-75", "map": "mAP 50-95", "pq": "PQ", "sq": "SQ", "rq": "RQ",
    "rand_error": "adapted Rand error (0 is best)", "rand_precision": "adapted Rand precision",
    "rand_recall": "adapted Rand recall", "voi_split": "VOI split, bits (0 is best)",
    "voi_merge": "VOI merge, bits (0 is best)", "seg": "CTC SEG", "det": "CTC DET", "op_csb": "CTC OP_csb",
}  # fmt: skip
SCORED = ("ap_50", "ap_75", "map")  # these exist once per confidence
PER_IMAGE = {
    "truth_objects": "true", "pred_objects": "pred", "dice": "Dice", "precision": "prec.", "recall": "recall",
    "object_f1": "F1@{}", "ap_50": "AP-50", "pq": "PQ",
}  # fmt: skip
BASE = 0.4e9  # bytes of a process that has loaded what it needs; measured
SHOWN = 40  # images; the JSON lists them all
READING = {
    "images": "one entry per image",
    "mean": "mean of the images' numbers: each image weighs the same",
    "pooled": "all images as if they lay side by side in one: each object, or voxel, weighs the same",
}


def evaluate(
    pred: Annotated[str, typer.Argument(help="Predicted labels: a file, a folder or a glob.")],
    truth: Annotated[str, typer.Argument(help="True labels: a file, or a folder or glob of the same names.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number of every image here; - for stdout, in one line.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="FILE.html, the report; default: beside the predictions.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="The images, for the report's pictures; a file, or a folder of the same names.")
    ] = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Whether a report is written.")] = True,
    iou: Annotated[float, typer.Option(help="IoU from which an object counts as found.")] = 0.5,
    confidence: Annotated[
        list[str] | None,
        typer.Option(help="Image (or folder of the same names) whose mean over an object ranks it for AP; repeatable."),
    ] = None,
    axes: inputs.Axes = None,
    channel: inputs.Channel = None,
    memory: inputs.Memory = "4GB",
    mask_above: Annotated[
        float | None, typer.Option(help="The truth is a mask: its connected parts above this are objects.")
    ] = None,
    pred_mask_above: Annotated[float | None, typer.Option(help="The same of the predictions.")] = None,
    score_pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="Of several classes: a number that two of them share in the truth is a pair; score these too.",
        ),
    ] = False,
    overwrite: inputs.Overwrite = False,
    quiet: inputs.Quiet = False,
) -> None:
    """Compare labels with the truth.

    Two folders that hold a folder for each class, as golgi/ and nuclei/, are compared class by class in one table.

    Prints Dice, precision, recall and IoU of the foreground; precision, recall and F1 of objects; AP (larger objects
    first), PQ, adapted Rand, VOI and the SEG, DET and OP_csb of the Cell Tracking Challenge. Images of any size are
    compared, with the numbers that they would have in one piece; the report is left out of those that do not fit.
    """
    from ..data.volumes import declared, open_labels, open_volumes
    from ..metrics.matching import refuse_threshold

    refuse_threshold(iou)
    if not report and (out or images):
        raise UserError("-o and --images are of the report, and --no-report leaves it out; pass one or the other")
    started = time.perf_counter()
    names = classes(Path(pred), Path(truth))
    written = [json_file if json_file != STDOUT else None, out]
    refuse_places(written, [pred, truth], [images, *(confidence or [])], names, overwrite)
    if names:
        from .evaluate_classes import evaluate_classes

        masks = mask_above is not None or pred_mask_above is not None
        if confidence or images is not None or masks:
            what = "--images are" if images else "--confidence is" if confidence else "--mask-above is"
            raise UserError(f"{what} for objects of one class; evaluate the classes one by one, or leave it out")
        how = Comparison(iou, memory, quiet)
        pages = {name: place(pred, out, name) for name in names} if report else {}
        evaluate_classes(
            Path(pred), Path(truth), names, how, score_pairs, json_file, pages, out is not None, axes=axes,
            channel=channel,
        )  # fmt: skip
        return
    if score_pairs:
        raise UserError(f"--pairs asked for, {pred} and {truth} hold no folders of classes; pass those above them")
    preds, truths = (open_any(open_labels, declared(path, axes, channel)) for path in (pred, truth))
    pairs = as_objects(paired(preds, truths, pred, truth), pred_mask_above, mask_above, budget(memory))
    maps: dict[str, Pairs] = {
        name: paired([p for p, _ in pairs], open_any(open_volumes, declared(path, axes)), pred, path)
        for name, path in named(confidence or []).items()
    }
    raws = None
    if images is not None:
        raws = paired([p for p, _ in pairs], open_any(open_volumes, declared(images, axes)), pred, images)
    where = place(pred, out) if report and room(pairs, budget(memory), out is not None) else None
    reports, together = Comparison(iou, memory, quiet)(pairs, maps)
    shown = [raw for _, raw in raws] if raws else [None] * len(pairs)
    triples = [(p, t, raw) for (p, t), raw in zip(pairs, shown)]
    tell(summary(pred, truth, reports, together), json_file, triples, where, out is not None, started)


def tell(
    result: dict[str, Any], json_file: Path | None, triples: "list[Triple]", where: Path | None, asked: bool,
    started: float,
) -> None:  # fmt: skip
    """Numbers on the screen and in their file, and the report: what stands against it loses none of the numbers."""
    if json_file != STDOUT:
        show(result)
    try:
        done = where and page(triples, result, time.perf_counter() - started, where, asked)
    except UserError:
        write(json_file, result)
        raise
    write(json_file, result | {"report": str(done)} if done else result)
    if done and json_file != STDOUT:
        say(f"report in {done}")


def classes(pred: Path, truth: Path) -> list[str]:
    """Names of the classes that both folders hold folders of; none where these are labels themselves.

    Raises UserError where the truth has a class that was not predicted.
    """
    from ..data.find import is_image

    if not pred.is_dir() or not truth.is_dir() or any(is_image(one) for one in (pred, truth)):
        return []
    if any(is_image(inside) for folder in (pred, truth) for inside in folder.iterdir()):
        return []
    mine, wanted = ({p.name for p in folder.iterdir() if p.is_dir()} - {"report"} for folder in (pred, truth))
    if mine & wanted and (missing := sorted(wanted - mine)):
        there = ", ".join(sorted(mine & wanted))
        raise UserError(f"{truth} holds the class {missing[0]}, {pred} {there} alone; evaluate these one by one")
    return sorted(mine & wanted)


def open_any(how: Callable[["ImageSource"], list["Volume"]], source: "ImageSource") -> list["Volume"]:
    """Voxel sizes play no part in a comparison of voxels, so a file that does not say its own gets any."""
    errors = []
    for extents in (None, (1.0, 1.0, 1.0), (1.0, 1.0)):
        unit = None if extents is None else "px"
        try:
            return how(source.model_copy(update={"voxel": extents, "unit": unit}))
        except UserError as error:
            errors.append(error)
    raise errors[0]


class Comparison(NamedTuple):
    """How images are compared: the IoU from which objects match, the memory to stay in, whether to show progress."""

    iou: float
    memory: str
    quiet: bool = True

    def __call__(self, pairs: Pairs, maps: dict[str, Pairs] | None = None) -> tuple[dict[str, "Report"], "Report"]:
        """Report of every image by the name of its prediction, and of all together.

        pairs: prediction and truth. maps: by score, prediction and confidence, in the same order.
        """
        from ..core.progress import Progress
        from ..labels.overlap import overlap_by_blocks
        from ..metrics.report import pooled, report
        from ..metrics.scores import mean_over_objects_by_blocks

        maps = maps or {}
        left = budget(self.memory, [*pairs, *(pair for found in maps.values() for pair in found)])
        tables, scores = [], []
        with Progress("compare", len(pairs), "image", self.quiet) as progress:
            for index, (one, other) in enumerate(pairs):
                progress.advance(0, f"compare {one.name}")
                tables.append(overlap_by_blocks(other.array, one.array, left))
                ranked = {name: found[index][1].array for name, found in maps.items()}
                scores.append({n: mean_over_objects_by_blocks(values, one.array, left) for n, values in ranked.items()})
                progress.advance()
        reports = {p.name: report(table, score, self.iou) for (p, _), table, score in zip(pairs, tables, scores)}
        return reports, pooled(tables, scores, self.iou)


def budget(words: str, pairs: Pairs = ()) -> float:
    """Bytes that are left for images and tables. Raises UserError where not even single pieces of the files fit."""
    from ..data.lazy import refuse_pieces

    memory = inputs.amount(words)
    if memory <= BASE:
        raise UserError(f"a memory of {words} asked for, the program alone takes {BASE / 1e9:g} GB; pass a larger one")
    for volume in (volume for pair in pairs for volume in pair):
        refuse_pieces(volume.array, volume.origin, memory - BASE)
    return memory - BASE


def named(confidence: list[str]) -> dict[str, str]:
    """Score name -> path; the name is the file's or folder's."""
    from ..metrics.scores import VOXEL_COUNT

    names = [Path(path.split("::")[0].rstrip("/")).name.split(".")[0] for path in confidence]
    for name in names:
        if names.count(name) > 1 or name == VOXEL_COUNT:
            raise UserError(
                f"--confidence '{name}' is taken already; rename the file or folder, its name is the score's"
            )
    return dict(zip(names, confidence))


def paired(preds: list["Volume"], truths: list["Volume"], pred: str, truth: str) -> Pairs:
    """Two files belong together whatever their names (frame by frame); in folders, images of the same name do.

    Raises UserError where one has no partner, or another shape than its partner.
    """
    from ..data.find import find

    if find(pred).name is None and find(truth).name is None:
        if len(preds) != len(truths):
            raise UserError(f"{pred} holds {len(preds)} images, {truth} {len(truths)}; give files of the same frames")
        pairs = list(zip(preds, truths))
    else:
        partners = {volume.name: volume for volume in truths}
        refuse_lonely({p.name for p in preds}, set(partners), pred, truth)
        pairs = [(p, partners[p.name]) for p in preds]
    for one, other in pairs:
        if tuple(one.array.shape) != tuple(other.array.shape):
            raise UserError(
                f"{one.origin} has shape {tuple(one.array.shape)}, {other.origin} {tuple(other.array.shape)};"
                " compare images of one grid of voxels"
            )
    return pairs


def refuse_lonely(preds: set[str], truths: set[str], pred: str, truth: str) -> None:
    """Raises UserError where a name stands on one side only."""
    for names, here, there in ((preds - truths, pred, truth), (truths - preds, truth, pred)):
        if names:
            listed = ", ".join(f"'{name}'" for name in sorted(names)[:3]) + (", .." if len(names) > 3 else "")
            raise UserError(
                f"{len(names)} of the images in {here} have no partner of the same name in {there} ({listed});"
                " rename them or give one file each"
            )


def summary(pred: str, truth: str, reports: dict[str, "Report"], together: "Report") -> dict[str, Any]:
    """What goes into the JSON file."""
    from ..metrics.report import mean_of

    return {
        "pred": pred,
        "truth": truth,
        "iou": together.threshold,
        "reading": READING,
        "mean": mean_of(list(reports.values())),
        "pooled": together.as_dict(),
        "images": [{"name": name, **one.as_dict()} for name, one in reports.items()],
    }


def write(json_file: Path | None, result: dict[str, Any]) -> None:
    """Where that is asked for; as one line on stdout for a program."""
    if json_file == STDOUT:
        conclude(True, "", verb="evaluate", **result)
    elif json_file:
        from ..core.facts import write_json
        from ..core.lock import locked

        with locked(json_file):
            write_json(json_file, result)


def show(result: dict[str, Any]) -> None:
    """Tables for a person."""
    from rich.console import Console

    console, images = Console(), result["images"]
    if 1 < len(images) <= SHOWN:
        console.print(image_table(images, result["iou"]))
    console.print(summary_table(result))


def image_table(images: list[dict[str, Any]], iou: float) -> "Table":
    """One row per image."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("image", overflow="fold")
    for head in PER_IMAGE.values():
        table.add_column(head.format(f"{iou:g}"), justify="right", no_wrap=True)
    for image in images:
        table.add_row(shown(image["name"]), *(number(image[key]) for key in PER_IMAGE))
    return table


def summary_table(result: dict[str, Any]) -> "Table":
    """One row per measure."""
    from rich.box import SIMPLE
    from rich.table import Table

    images, mean, pooled = result["images"], result["mean"], result["pooled"]
    several = len(images) > 1
    table = Table(f"{pooled['truth_objects']} true, {pooled['pred_objects']} predicted objects", box=SIMPLE)
    for head in (f"mean of {len(images)} images", "pooled") if several else ("",):
        table.add_column(head, justify="right")
    for key, text in rows(mean).items():
        values = (mean[key], pooled[key]) if several else (pooled[key],)
        table.add_row(text.format(f"{result['iou']:g}"), *map(number, values))
    return table


def rows(numbers: dict[str, float]) -> dict[str, str]:
    """Key and text of each line; AP by further confidences stands below the one by size."""
    found = {}
    for key, text in ROWS.items():
        found[key] = text
        if key == SCORED[-1]:
            for extra in numbers:
                known = next((k for k in SCORED if extra.startswith(f"{k}_")), None)
                found |= {extra: f"{ROWS[known]} by {extra.removeprefix(f'{known}_')}"} if known else {}
    return found


def number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
