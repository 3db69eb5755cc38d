"""The tables of `cytoshift evaluate`, for a person."""

from typing import TYPE_CHECKING, Any

from .console import say, table_cell

if TYPE_CHECKING:
    from rich.table import Table

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
PER_CLASS = ("dice", "precision", "recall", "iou", "object_precision", "object_recall", "object_f1", "ap_50", "pq")
SHOWN = 40  # images; the JSON lists them all


def show(result: dict[str, Any]) -> None:
    """A row per image, where there are several, and a row per measure."""
    from rich.console import Console

    console, images = Console(), result["images"]
    if 1 < len(images) <= SHOWN:
        console.print(image_table(images, result["iou"]))
    console.print(summary_table(result))


def show_classes(results: dict[str, Any], pairs: dict[str, dict[str, float]], iou: float) -> None:
    """A row per measure, a column per class, and a line for each kind of pair."""
    from rich.console import Console

    Console().print(class_table(results, iou))
    for words, numbers in pairs.items():
        say(
            f"{words}: {numbers['pairs_right']:.0f} of {numbers['pairs_found']:.0f} pairs right, "
            f"{numbers['pairs_true']:.0f} true ones; precision {numbers['pairs_precision']:.4f}, "
            f"recall {numbers['pairs_recall']:.4f}, F1 {numbers['pairs_f1']:.4f}"
        )


def image_table(images: list[dict[str, Any]], iou: float) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("image", overflow="fold")
    for head in PER_IMAGE.values():
        table.add_column(head.format(f"{iou:g}"), justify="right", no_wrap=True)
    for image in images:
        table.add_row(table_cell(image["name"]), *(number(image[key]) for key in PER_IMAGE))
    return table


def summary_table(result: dict[str, Any]) -> "Table":
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


def class_table(results: dict[str, Any], iou: float) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    images = len(next(iter(results.values()))["images"])
    table = Table(f"mean of {images} images" if images > 1 else "", box=SIMPLE)
    for name in results:
        table.add_column(table_cell(name), justify="right")
    counts = ((result["pooled"]["truth_objects"], result["pooled"]["pred_objects"]) for result in results.values())
    table.add_row("true, predicted objects", *(f"{true}, {predicted}" for true, predicted in counts))
    for key in PER_CLASS:
        values = (number(result["mean"][key]) for result in results.values())
        table.add_row(ROWS[key].format(f"{iou:g}"), *values)
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
