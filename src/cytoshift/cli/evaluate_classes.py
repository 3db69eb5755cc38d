"""`cytoshift evaluate` of several classes: one table with a column for each, and which object belongs to which."""

import csv
import time
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..core.text import uncell
from .console import say, shown
from .evaluate import STDOUT, Comparison, Pairs, budget, number, open_any, paired, rows, summary, write
from .evaluate_page import page, room

if TYPE_CHECKING:
    from rich.table import Table

    from ..metrics.pairing import Pairing

SHOWN = ("dice", "precision", "recall", "iou", "object_precision", "object_recall", "object_f1", "ap_50", "pq")
COLUMNS = {"image", "class", "id", "belongs_to", "other_id"}


def evaluate_classes(
    pred: Path, truth: Path, names: list[str], how: Comparison, pairs: bool, json_file: Path | None,
    pages: dict[str, Path], asked: bool, **declared: Any,
) -> None:  # fmt: skip
    """Compare PRED/NAME with TRUTH/NAME for every class. pages: reports by class; asked: whether they are a wish.
    declared: axes and channel of the files."""
    started = time.perf_counter()
    found = {name: opened(pred / name, truth / name, **declared) for name in names}
    if not all(room(images, budget(how.memory), asked) for images in found.values()):
        pages = {}
    results = {}
    for name, images in found.items():
        reports, together = how(images)
        results[name] = summary(str(pred / name), str(truth / name), reports, together)
    scored = {}
    if pairs:
        scored = {f"{a} to {b}": one.as_dict() for (a, b), one in pairings(pred, found, how).items()}
    if json_file != STDOUT:
        show(results, scored, how.iou)
    seconds = time.perf_counter() - started
    told = {"iou": how.iou, "classes": results, **({"pairs": scored} if pairs else {})}
    try:
        drawn = [
            page([(p, t, None) for p, t in found[name]], results[name], seconds, where, asked)
            for name, where in pages.items()
        ]
    except UserError:
        write(json_file, told)
        raise
    kept = [str(where) for where in drawn if where]
    write(json_file, told | ({"reports": kept} if kept else {}))
    if kept and json_file != STDOUT:
        say(f"reports in {' and '.join(kept)}")


def opened(pred: Path, truth: Path, axes: str | None, channel: str | None) -> Pairs:
    from ..data.volumes import declared, open_labels

    preds, truths = (open_any(open_labels, declared(path, axes, channel)) for path in (pred, truth))
    return paired(preds, truths, str(pred), str(truth))


def pairings(pred: Path, found: dict[str, Pairs], how: Comparison) -> dict[tuple[str, str], "Pairing"]:
    """Pairs of every two classes of which the table says that one belongs to the other, all images as one.

    Raises UserError where there is no such table, or none of the classes is in it.
    """
    from ..labels.overlap import overlap_by_blocks
    from ..metrics.pairing import pairing, summed

    table, memory = read_pairs(pred / "report" / "pairs.csv"), budget(how.memory)
    out = {}
    for member, owner in permutations(found, 2):
        mine = [row for row in table if (row["class"], row["belongs_to"]) == (member, owner)]
        if not mine:
            continue
        parts = []
        for (one, true), (other, theirs) in zip(found[member], found[owner]):
            named = (row for row in mine if row["image"] == one.name and row["other_id"] != "0")
            said = [(int(row["id"]), int(row["other_id"])) for row in named]
            members, owners = (overlap_by_blocks(t.array, p.array, memory) for t, p in ((true, one), (theirs, other)))
            parts.append(pairing(members, owners, said, how.iou))
        out[member, owner] = summed(parts)
    if not out:
        raise UserError(f"--pairs asked for, the pairs in {pred / 'report'} are of other classes; leave it out")
    return out


def read_pairs(path: Path) -> list[dict[str, str]]:
    """Rows of the table that `cytoshift segment` has written. Raises UserError where it is not there, or damaged."""
    if not path.exists():
        raise UserError(
            f"--pairs asked for, and {path} is not there; pass the folder that 'cytoshift segment' wrote, or drop it"
        )
    with path.open(newline="", encoding="utf-8") as file:
        table = [{name: uncell(word or "") for name, word in row.items() if name} for row in csv.DictReader(file)]
    ids = [row.get(name) or "" for row in table for name in ("id", "other_id")]
    if any(not row.keys() >= COLUMNS for row in table) or not all(word.isdigit() for word in ids):
        raise UserError(f"{path} is no table of pairs as 'cytoshift segment' writes it; segment again")
    return table


def show(results: dict[str, Any], pairs: dict[str, dict[str, float]], iou: float) -> None:
    """Tables for a person: a row per measure, a column per class."""
    from rich.console import Console

    console = Console()
    console.print(class_table(results, iou))
    for words, numbers in pairs.items():
        say(
            f"{words}: {numbers['pairs_right']:.0f} of {numbers['pairs_found']:.0f} pairs right, "
            f"{numbers['pairs_true']:.0f} true ones; precision {numbers['pairs_precision']:.4f}, "
            f"recall {numbers['pairs_recall']:.4f}, F1 {numbers['pairs_f1']:.4f}"
        )


def class_table(results: dict[str, Any], iou: float) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    images = len(next(iter(results.values()))["images"])
    table = Table(f"mean of {images} images" if images > 1 else "", box=SIMPLE)
    for name in results:
        table.add_column(shown(name), justify="right")
    counts = ((result["pooled"]["truth_objects"], result["pooled"]["pred_objects"]) for result in results.values())
    table.add_row("true, predicted objects", *(f"{true}, {predicted}" for true, predicted in counts))
    text = rows({})
    for key in SHOWN:
        values = (number(result["mean"][key]) for result in results.values())
        table.add_row(text[key].format(f"{iou:g}"), *values)
    return table
