"""The page of a comparison with the truth, from the folder that predict/comparison_evidence.py has written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.json_files import FACTS, read_json
from . import methods_text
from .charts import bars, format_number
from .parts import Time, describe_inputs, flatten_settings, peak_memory_text
from .pictures import Album
from .segmentation_page import pairs, pictures, unit

ROWS = {
    "dice": "Dice", "iou": "IoU", "precision": "precision of the foreground", "recall": "recall of the foreground",
    "object_f1": "F1 of objects at an IoU of {}", "object_precision": "precision of objects at {}",
    "object_recall": "recall of objects at {}", "ap_50": "AP-50", "ap_75": "AP-75", "map": "mAP 50-95", "pq": "PQ",
    "sq": "SQ", "rq": "RQ", "rand_error": "adapted Rand error (0 is best)", "voi_split": "VOI split, bits (0 is best)",
    "voi_merge": "VOI merge, bits (0 is best)", "seg": "CTC SEG", "det": "CTC DET", "op_csb": "CTC OP_csb",
}  # fmt: skip
PER_IMAGE = {
    "truth_objects": "true", "pred_objects": "found", "dice": "Dice", "object_f1": "F1", "ap_50": "AP-50", "pq": "PQ",
}  # fmt: skip
LISTED = 60  # images in the table


def is_evaluation(folder: Path) -> bool:
    return read_json(folder / FACTS).get("kind") == "evaluate"


def context(folder: Path, album: Album) -> dict[str, Any]:
    """What the template shows."""
    facts = read_json(folder / FACTS)
    result = facts["result"]
    seen = read_json(folder / "evidence" / "evidence.json")
    mean, images = result["mean"], result["images"]
    crops = pairs(seen.get("crops", {}), folder / "evidence", album)
    return {
        "kind": "Evaluation", "title": Path(str(result["pred"]).rstrip("/")).name,
        "lead": f"{methods_text.count_text(result['pooled']['pred_objects'], 'object')} found, "
                f"{result['pooled']['truth_objects']:,} true, in {methods_text.count_text(len(images), 'image')}. "
                f"Truth: {result['truth']}",
        "figures": [("Dice", f"{mean['dice']:.3f}"), (f"F1 at {result['iou']:g}", f"{mean['object_f1']:.3f}"),
                    ("AP-50", f"{mean['ap_50']:.3f}"), ("PQ", f"{mean['pq']:.3f}")],
        **pictures(seen, folder / "evidence", album, {"confidence": "how well each true object was found"}),
        "crops": crops, "raw": facts["raw"],
        "scores": [(text.format(f"{result['iou']:g}"), f"{mean[key]:.4f}", f"{result['pooled'][key]:.4f}")
                   for key, text in ROWS.items() if key in mean],
        "several": len(images) > 1,
        "heads": list(PER_IMAGE.values()),
        "each": [(one["name"], [format_value(one[key]) for key in PER_IMAGE]) for one in images[:LISTED]],
        "unlisted": max(len(images) - LISTED, 0),
        "sizes": size_chart(facts),
        "inputs": [one for one in (describe_inputs(facts.get("images", {}), "Labels", None),) if one],
        "time": Time.of({"compared in all": facts["all_seconds"]}, peak_memory_text([facts])),
        "machine": flatten_settings(facts["machine"]), "versions": flatten_settings(facts["versions"]),
        "settings": [("pred", str(result["pred"])), ("truth", str(result["truth"])), ("iou", f"{result['iou']:g}")],
        "methods": paragraph(facts), "papers": [],
    }  # fmt: skip


def format_value(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def size_chart(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Diameters of what was found, and of the truth as a line."""
    mine, theirs = facts["found"][""], facts["truth"]
    if not mine.get("objects") or not theirs.get("objects"):
        return None
    edges = mine["diameter"]["edges"]
    width, counts = edges[1] - edges[0], list(mine["diameter"]["counts"])
    over = [0.0] * len(counts)
    for count, a, b in zip(theirs["diameter"]["counts"], theirs["diameter"]["edges"], theirs["diameter"]["edges"][1:]):
        place = int((a + b) / 2 / width)
        if place >= len(counts):
            counts += [0] * (place + 1 - len(counts))
            over += [0.0] * (place + 1 - len(over))
        over[place] += count
    ends = [one["diameter"]["quantiles"][1] for one in (mine, theirs)]
    text = (
        f"Equivalent diameters: found, median {format_number(ends[0])}, truth, median {format_number(ends[1])} "
        f"{unit(facts)}"
    )
    return {
        "svg": bars(counts, text, over),
        "high": format_number(width * len(counts)),
        "found": format_number(ends[0]),
        "truth": format_number(ends[1]),
        "unit": unit(facts).replace("um", "µm"),
    }


def paragraph(facts: Mapping[str, Any]) -> str:
    result = facts["result"]
    mean, at = result["mean"], f"{result['iou']:g}"
    return (
        f"Segmentations were compared with {result['pooled']['truth_objects']:,} annotated objects in "
        f"{methods_text.count_text(len(result['images']), 'image')} with Cytoshift {facts['versions']['cytoshift']}. "
        "Objects "
        f"were matched one to one at an intersection over union of {at}. Averaged over images, the Dice coefficient of "
        f"the foreground was {mean['dice']:.3f}, F1 of objects {mean['object_f1']:.3f} (precision "
        f"{mean['object_precision']:.3f}, recall {mean['object_recall']:.3f}), AP-50 {mean['ap_50']:.3f} with larger "
        f"objects ranked first, and panoptic quality {mean['pq']:.3f}."
    )
