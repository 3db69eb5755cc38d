"""results.json -> tables in Markdown, in the layouts of the papers."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ..core.text import count_of
from .dataset_spec import Annotation, Dataset, Files, Stacks
from .method_spec import ExternalMethod
from .spec import Spec

# Scores by what they are called in a report, and in a head; "pooled_iou" is the IoU of all images as one.
SCORES = {
    "dice": "Dice", "iou": "IoU", "pooled_iou": "IoU, pooled", "precision": "precision", "recall": "recall",
    "f1_50": "F1@0.5", "ap_50": "AP-50", "ap_50_mask": "AP-50, by mask", "ap_50_shape": "AP-50, by shape", "pq": "PQ",
    "op_csb": "OP_CSB", "seg": "SEG", "det": "DET",
}  # fmt: skip
WHERE_ASKED = ("op_csb", "seg", "det")  # of the Cell Tracking Challenge; columns where the overview has one of them
OF_CLASSES = ("dice", "precision", "recall", "f1_50")  # of each class, Table II of Rosa et al. and F1
COSTS = {"train_minutes": "train minutes", "cpu_hours": "CPU hours", "segment_seconds": "segment seconds"}
CHOSEN = {"rule": "rule", "oracle": "oracle (best on test)"}  # of the states on the way; how they are called in a head
READING = (
    "Scores are means over the images; mean ± standard deviation over the seeds and folds where there are several. "
    "Dice, IoU, precision and recall count pixels, pooled is of all images as one; F1@0.5 and PQ count objects matched "
    "at an IoU of 0.5, AP-50 ranks objects by size, by the mean of their mask, or of their mask, contour and distance "
    "(B (1 - C) D); a pair is right where both of its objects are. SEG and DET are those of the Cell Tracking "
    "Challenge, OP_CSB is their mean. CPU hours are those of the trainings of all seeds together, segment seconds the "
    "median per image. The truth is opened for scoring. Oracle is the best of the states on the way, by the truth of "
    "what is scored: nothing was chosen by it. Rule is the state that train.select chooses without labels of the "
    "target. Minutes are those of one training and of all images; trainings that choose settings, or that another row "
    "began with, are not in them."
)

Row = dict[str, Any]


def markdown(spec: Spec, results: dict[str, Any], pictures: dict[str, Path], curves: dict[str, Path]) -> str:
    """Tables of each data set; pictures, curves: data set -> path of its sheet or curve, relative to the page."""
    lines = [f"## {spec.title}", ""]
    if spec.note:
        lines += [spec.note.strip(), ""]
    if spec.overview is not None:
        lines += overview(spec, results["table"])
    for dataset in spec.datasets:
        mine = [row for row in results["table"] if row["dataset"] == dataset.name]
        if mine:
            lines += section(dataset, spec, mine, results["cells"])
            if dataset.name in pictures:
                lines += [f"![{dataset.name}: truth blue, prediction amber, both white]({pictures[dataset.name]})", ""]
            if dataset.name in curves:
                lines += [f"![{dataset.name}: score against the part of the labels]({curves[dataset.name]})", ""]
    on = results["machine"]
    lines += [f"Measured on {on['cores']} cores of {on['cpu']} with torch {on['torch']}.", ""]
    return "\n".join(lines)


def section(dataset: Dataset, spec: Spec, rows: list[Row], cells: list[Row]) -> list[str]:
    """Scores and costs of every method; of several classes scores of each, and a table of time."""
    here = [cell for cell in cells if cell["settings"]["dataset"]["name"] == dataset.name]
    images = {image["name"]: image["truth_objects"] for cell in here for image in cell["images"]}
    count = f"{count_of(len(images), 'image')}, {sum(images.values())} objects"
    classes = list(here[0].get("classes", {}))
    asked = [] if spec.overview is None else [spec.overview.score, *spec.overview.also]
    left_out = () if set(WHERE_ASKED) & set(asked) else WHERE_ASKED
    columns = {
        name: words for name, words in SCORES.items() if name not in left_out and any(name in row for row in rows)
    }
    if classes:
        columns = {f"{name} {key}": f"{SCORES[key]} {name}" for key in OF_CLASSES for name in classes}
        columns |= {"pairs_f1": "F1 of pairs"} if any("pairs_f1" in row for row in rows) else {}
    headline = SCORES.get(spec.overview.score, spec.overview.score) if spec.overview else SCORES["dice"]
    columns |= {name: f"{words} {headline}" for name, words in CHOSEN.items() if any(name in row for row in rows)}
    heads = ["method", "runs" if "fold" in here[0]["settings"] else "seeds", *columns.values(), *COSTS.values()]
    lines = [f"### {dataset.name} ({count})", "", *table_head(heads)]
    for row in rows:
        numbers = [mean_text(row.get(name), 3) for name in columns] + [mean_text(row.get(name), 2) for name in COSTS]
        lines.append(bar_row([row["method"], str(row["seeds"]), *numbers]))
    there = [row["method"] for row in rows]
    for method in spec.methods:
        if isinstance(method, ExternalMethod) and method.lacks and method.name not in there:
            lines.append(bar_row([method.name, f"needs {method.lacks}", *[""] * (len(heads) - 2)]))
    lines.append("")
    annotation = dataset.annotation if isinstance(dataset, Files | Stacks) else None
    return lines + (time_table(annotation, rows) if annotation else [])


def time_table(annotation: Annotation, rows: list[Row]) -> list[str]:
    """Table I of Rosa et al.: hours to a model, without and with those that somebody spends on labels."""
    heads = ["method", "train minutes", "segment seconds", "labelled images", "hours without labelling", "and with"]
    lines = [f"Labels cost {annotation.hours:g} hours per image ({annotation.source}).", "", *table_head(heads)]
    for row in rows:
        hours = row.get("train_minutes", {"mean": 0.0})["mean"] / 60
        images = row.get("labelled", {"mean": 0.0})["mean"]
        lines.append(
            bar_row(
                [
                    row["method"],
                    mean_text(row.get("train_minutes"), 1),
                    mean_text(row.get("segment_seconds"), 1),
                    f"{images:g}",
                    f"{hours:.2f}",
                    f"{hours + images * annotation.hours:.2f}",
                ]
            )
        )
    return [*lines, ""]


def overview(spec: Spec, rows: list[Row]) -> list[str]:
    """A row for each data set and a column for each method: Table 1 of Roels et al., and the same of further scores."""
    assert spec.overview is not None, "the caller has looked"
    lines = overview_table(spec, rows, spec.overview.score)
    for score in spec.overview.also:
        lines += overview_table(spec, rows, score, first=False)
    return lines


def overview_table(spec: Spec, rows: list[Row], score: str, first: bool = True) -> list[str]:
    """One score in percent, or minutes. first: oracles, and numbers of papers without a score, stand in it, too.

    Papers often choose a state by the truth they score; a row of ours that is chosen so stands beside theirs.
    """
    assert spec.overview is not None, "the caller has looked"
    names = spec.overview.methods or [method.name for method in spec.methods]
    title, text = ("Minutes", tenths) if score == "minutes" else (f"{SCORES[score]}, in percent", percent)
    lines, columns = [f"{title}:", "", *table_head(["", *names])], list[list[dict[str, float] | None]]()
    for dataset in spec.datasets:
        mine = {row["method"]: row for row in rows if row["dataset"] == dataset.name}
        if mine:
            values = [mine.get(name, {}).get(score) for name in names]
            lines.append(bar_row([dataset.name, *map(text, values)]))
            columns.append(values)
        if first and any("oracle" in mine.get(name, {}) for name in names):
            best = (percent(mine.get(name, {}).get("oracle")) for name in names)
            lines.append(bar_row([f"{dataset.name}, oracle (best on test)", *best]))
        for paper in spec.overview.published:
            if paper.dataset == dataset.name and (paper.score == score or (first and paper.score is None)):
                found = (paper.numbers.get(name) for name in names)
                lines.append(bar_row([paper.name, *("" if value is None else f"{value:.1f}" for value in found)]))
    if spec.overview.mean and columns:
        lines.append(bar_row([f"mean of {len(columns)}", *(text(mean_of(column)) for column in zip(*columns))]))
    return [*lines, ""]


def mean_of(values: Sequence[dict[str, float] | None]) -> dict[str, float] | None:
    """Of the means of a method over the data sets; None where one is missing."""
    there = [value["mean"] for value in values if value is not None]
    return {"mean": fmean(there)} if len(there) == len(values) else None


def table_head(heads: list[str]) -> list[str]:
    """The first two lines of a table."""
    return [bar_row(heads), bar_row(["---"] + ["---:"] * (len(heads) - 1))]


def bar_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def percent(value: dict[str, float] | None) -> str:
    return "" if value is None else mean_text({name: 100 * number for name, number in value.items()}, 1)


def tenths(value: dict[str, float] | None) -> str:
    return mean_text(value, 1)


def mean_text(value: dict[str, float] | None, digits: int) -> str:
    if value is None:
        return ""
    mean = f"{value['mean']:.{digits}f}"
    return mean + (f" ± {value['sd']:.{digits}f}" if "sd" in value else "")
