"""The page of a call of `segment`, from the folder of its account (predict/account.py).

With what `trust` has said of the results, from the file beside them, and what the audit of a segmentation in blocks has
found at the faces of blocks, from report/seams/NAME.json, or cells.seams.json beside a single result.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.json_files import FACTS, read_json
from ..draw import colour_at
from ..trust.score import weakest_criterion
from . import methods_text
from .charts import bars, format_number
from .citations import keys_of, title_of
from .parts import Image, Time, Viewer, copy_entries, describe_inputs, flatten_settings, format_time, peak_memory_text
from .pictures import PAGE_BYTES, Album, select_groups
from .training_sizes import TrainingSizes, drop_unreadable, training_sizes

CROPS_BYTES = 1_200_000  # bytes kept for crops
LEGEND_COLOURS = 6  # colours of the legend
MOST_BINS = 160  # bins of a histogram
NAMED: Mapping[str, str] = {"outlines": "outlines", "confidence": "confidence"}  # layers, in words
# Criteria in words; trust/judge.py says what each one is.
COLUMNS = {
    "voted": "votes", "flips": "mirrored", "light": "other light", "scale": "other scale", "overlap": "overlap",
    "sure": "sure", "size": "size", "solidity": "solidity", "contrast": "contrast", "explained": "explained",
}  # fmt: skip
LISTED = 60  # images in the table
WHAT = {"cut": "objects cut", "lost": "objects lost"}


def is_segmentation(folder: Path) -> bool:
    return read_json(folder / FACTS).get("kind") == "segment"


def context(folder: Path, album: Album) -> dict[str, Any]:
    """What the template shows."""
    facts = read_json(folder / FACTS)
    seen = read_json(folder / "evidence" / "evidence.json")
    model = facts.get("model", {})
    card = drop_unreadable(model.get("card", {}))
    found = facts.get("found", {})
    crops, told = pairs(seen.get("crops", {}), folder / "evidence", album), trust_section(folder)
    return {
        "kind": "Segmentation",
        "title": title(facts, folder),
        "lead": lead(found, facts, title_of(card)),
        "precision": facts.get("computed", {}).get("sentence", ""),
        "figures": [*figures(found, facts), *([("score without labels", told["value"])] if told else [])],
        **pictures(seen, folder / "evidence", album),
        "crops": crops,
        "sizes": [
            sizes(name, one, training_sizes(card).get(name), unit(facts))
            for name, one in found.items()
            if one.get("objects")
        ],
        "sure": [confidence(name, one["confidence"]) for name, one in found.items() if one.get("objects")],
        "seams": read_seams(folder),
        "trust": told,
        "inputs": [one for one in (describe_inputs(facts.get("images", {}), "Images", None),) if one],
        "time": stage_times(facts),
        "machine": [
            *flatten_settings(facts.get("machine", {})),
            *flatten_settings(facts.get("computed", {}), "computed"),
        ],
        "versions": flatten_settings(facts.get("versions", {})),
        "settings": [
            *flatten_settings(facts.get("options", {}), "options"),
            *flatten_settings({k: v for k, v in model.items() if k != "card"}, "model"),
            *flatten_settings(
                {k: v for k, v in card.items() if k not in ("settings", "objects", "intensities")}, "training"
            ),
        ],
        "methods": methods_text.segmentation_text(facts),
        "papers": copy_entries(keys_of(card, model.get("representation"))),
    }


def title(facts: Mapping[str, Any], folder: Path) -> str:
    """The folder of results, or the one image."""
    each = facts.get("images", {}).get("each", [])
    if folder.name == "report":
        return folder.resolve().parent.name
    return str(each[0]["name"]) if each else folder.name


def unit(facts: Mapping[str, Any]) -> str:
    each = facts.get("images", {}).get("each", [])
    return str(each[0]["unit"]) if each else ""


def lead(found: Mapping[str, Any], facts: Mapping[str, Any], method: str) -> str:
    """The first sentence of the page."""
    counts = [f"{one.get('objects', 0):,} {name or 'objects'}" for name, one in found.items()]
    images = methods_text.count_text(facts.get("images", {}).get("count", 0), "image")
    by = f" by a model that was trained with {method}" if method else ""
    return f"{' and '.join(counts) or 'No objects yet'} in {images}, found{by}."


def figures(found: Mapping[str, Any], facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The few numbers at the top."""
    rows = []
    for name, one in found.items():
        rows.append((name or "objects", f"{one.get('objects', 0):,}"))
        if one.get("objects"):
            rows.append(
                (f"median diameter, {unit(facts)}".replace("um", "µm"), format_number(one["diameter"]["quantiles"][1]))
            )
            rows.append(("mean confidence", f"{one['confidence']['mean']:.2f}"))
    if "all_seconds" in facts:
        rows.append(("in all", format_time(facts["all_seconds"])))
    return rows


def pictures(seen: Mapping[str, Any], folder: Path, album: Album, names: Mapping[str, str] = NAMED) -> dict[str, Any]:
    """Viewers of the images that were drawn, within the budget of the page."""
    each = seen.get("images", [])
    share = (min(PAGE_BYTES, album.left) - CROPS_BYTES) // max(len(each), 1)
    viewers = [one for n, image in enumerate(each) if (one := viewer(image, n, folder, album, share, names))]
    low, high = seen.get("scale", (0.5, 1.0))
    parts = [i / (LEGEND_COLOURS - 1) for i in range(LEGEND_COLOURS)]
    legend = [(f"{low + (high - low) * part:.1f}", "#" + bytes(colour_at(part)).hex()) for part in parts]
    return {"viewers": viewers, "legend": legend, "more": max(seen.get("of", 0) - len(each), 0)}


def viewer(
    image: Mapping[str, Any], number: int, folder: Path, album: Album, share: int, names: Mapping[str, str]
) -> Viewer | None:
    rows = image["slices"]
    files = [[folder / row[kind] for kind in ("image", "outlines", "confidence")] for row in rows]
    frames = []
    name = f"{image['name']}, {image['class']}" if image["class"] else image["name"]
    for index in select_groups(files, share):
        row, plane = rows[index], describe_place(image, rows[index])
        base = album.embed_file(
            files[index][0], f"{name}: {plane}, {methods_text.count_text(row['objects'], 'object')}"
        )
        layers = {kind: album.embed_file(path, "") for kind, path in zip(("outlines", "confidence"), files[index][1:])}
        if base is not None:
            shown = {kind: layer for kind, layer in layers.items() if layer is not None}
            frames.append(Image(base, f"{plane}, {methods_text.count_text(row['objects'], 'object')}", shown))
    if not frames:
        return None
    shrunk = image.get("shrunk", 1.0)
    note = f"Shown at 1/{shrunk:.1f} of its resolution. " if shrunk > 1.05 else ""
    kept = f"{len(frames)} of {image['depth']} planes are shown." if image["depth"] > len(frames) else ""
    return Viewer(f"image-{number}", "plane", frames, len(frames) // 2, name, note + kept, names=names)


def describe_place(image: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The place of a plane."""
    if image["depth"] == 1:
        return "whole image" if image["axes"] == "yx" else "plane 1"
    place = f", z = {row['z'] * image['voxel'][0]:.4g} {image['unit']}".replace(" um", " µm")
    return f"plane {row['z'] + 1} of {image['depth']}{place}"


def pairs(crops: Mapping[str, Any], folder: Path, album: Album) -> dict[str, list[dict[str, Any]]]:
    """Crops by what they show, each raw and outlined."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, rows in crops.items():
        for row in rows:
            name = f"object {row['object']}{' of ' + row['class'] if row['class'] else ''} in {row['image']}"
            picture = album.embed_file(folder / row["picture"], f"{name[0].upper()}{name[1:]}, as it was imaged")
            layer = album.embed_file(folder / row["outlines"], "")
            if picture and layer:
                found.setdefault(kind, []).append({
                    "picture": picture, "layer": layer, "name": name, "confidence": f"{row['confidence']:.2f}",
                    "diameter": f"{format_number(row['diameter'])} {row['unit']}".replace(" um", " µm"),
                })  # fmt: skip
    return found


def sizes(name: str, one: Mapping[str, Any], expected: TrainingSizes | None, unit: str) -> dict[str, Any]:
    """Diameters that were found beside those that the network learnt from."""
    counts, edges = list(one["diameter"]["counts"]), list(one["diameter"]["edges"])
    low, middle, high = one["diameter"]["quantiles"]
    text = f"Equivalent diameters of {one['objects']} objects: median {format_number(middle)} {unit}"
    over, theirs = None, 0.0
    if expected:
        width = edges[1] - edges[0]
        while edges[-1] < expected.quantile(0.98) and len(counts) < MOST_BINS:  # room for what was not found
            edges.append(edges[-1] + width)
            counts.append(0)
        over, theirs = expected.share_per_bin(edges), expected.quantile(0.5)
        text += f"; {expected.of}: median {format_number(theirs)} {unit}"
    return {
        "name": name,
        "svg": bars(counts, text, over),
        "unit": unit.replace("um", "µm"),
        "low": "0",
        "high": format_number(edges[-1]),
        "median": format_number(middle),
        "range": f"{format_number(low)} to {format_number(high)}",
        "of": expected.of if expected else "",
        "theirs": format_number(theirs),
        "factor": f"{middle / theirs:.2f}" if theirs else "",
    }


def confidence(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """How sure the network is of the objects."""
    text = f"Confidence of the objects, median {one['median']:.2f}, mean {one['mean']:.2f}"
    return {"name": name, "svg": bars(one["counts"], text), "median": f"{one['median']:.2f}"}


def stage_times(facts: Mapping[str, Any]) -> Time | None:
    """Seconds of all images by stage; what is left of the whole went into files and pictures."""
    seconds: dict[str, float] = {}
    for one in facts.get("seconds", {}).values():
        for stage, value in one.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    rest = facts.get("all_seconds", 0.0) - sum(seconds.values())
    if rest > 0:
        seconds["writing and pictures"] = rest
    return Time.of(seconds, peak_memory_text([facts]))


def account_of(folder: Path) -> Path | None:
    """The account of a folder of results, or of the folder that lies beside a single file; None where there is none."""
    places = [folder, folder / "report"]
    if folder.name:  # "." has none that a report could stand beside
        places.append(folder.with_name(f"{folder.stem.removesuffix('.ome')}.report"))
    return next((place for place in places if is_segmentation(place)), None)


def trust_section(account: Path) -> dict[str, Any] | None:
    """What the template shows of an account's results; None if `trust` was not run."""
    single = account.suffix == ".report"
    told = read_json(account.with_suffix(".trust.json") if single else account / "trust.json")
    images = told.get("images", [])
    if not images or "says" not in told:  # of a version that did not sum up
        return None
    columns = [key for key in COLUMNS if any(key in one["criteria"] for one in images)]
    return {
        "says": told["says"], "against": weakest_criterion([one["criteria"] for one in images]),
        "value": f"{told['score']:.2f}" if told["calibrated"] else "none",
        "heads": [COLUMNS[key] for key in columns],
        "rows": [trust_row(one, columns) for one in images[:LISTED]], "unlisted": max(len(images) - LISTED, 0),
        "boxes": any(one.get("boxes") for one in images),
    }  # fmt: skip


def trust_row(one: Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    name = f"{one['image']}, {one['class']}" if "class" in one else one["image"]
    return {
        "name": name, "objects": f"{one['objects']:,}", "score": f"{one['score']:.2f}",
        "range": f"{one['low']:.2f} to {one['high']:.2f}" if one["calibrated"] else "no statement",
        "criteria": [f"{one['criteria'][key]:.2f}" if key in one["criteria"] else "" for key in columns],
    }  # fmt: skip


def read_seams(folder: Path) -> list[dict[str, Any]]:
    """Of each image and class the verdict, rates at faces and between them, and the blocks. folder: of an account."""
    paths = [folder.with_name(f"{folder.stem}.seams.json"), *sorted((folder / "seams").glob("*.json"))]
    return [one for path in paths for one in of_file(path)]


def of_file(path: Path) -> Iterator[dict[str, Any]]:
    told = read_json(path)
    blocks = told.get("blocks", {})
    for name, audit in told.get("classes", {}).items():
        image = path.name.removesuffix(".json").removesuffix(".seams")
        yield {
            "title": image if name == "objects" else f"{image}, {name}",
            "passed": audit.get("verdict") == "passed", "found": ", ".join(audit.get("seams", [])),
            "rows": list(seam_rows(audit)), "blocks": describe_blocks(blocks),
        }  # fmt: skip


def seam_rows(audit: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """What, at faces, between them, and how sure the difference is."""
    faces, between, sigmas = (audit.get(key, {}) for key in ("faces", "between", "sigmas"))
    for key, text in WHAT.items():
        if key in faces and key in between:
            yield text, format_rate(faces, key), format_rate(between, key), f"{sigmas.get(key, 0.0):+.1f}"
    growth = audit.get("excess", {}).get("growth")
    if growth is not None:
        yield "size of objects that cross", f"{100 * growth:+.1f} %", "0 %", f"{sigmas.get('growth', 0.0):+.1f}"


def format_rate(counts: Mapping[str, float], key: str) -> str:
    of = counts.get("sections", 0.0)
    return f"{100 * counts[key] / of:.2f} % of {of:,.0f}" if of else "none there"


def describe_blocks(blocks: Mapping[str, Any]) -> str:
    """Number, size and halo of the blocks."""
    if "count" not in blocks:
        return ""
    size, halo = (" × ".join(map(str, blocks.get(key, ()))) for key in ("size", "halo"))
    return f"{blocks['count']:,} blocks of {size} voxels, each of which was read with {halo} voxels around it"
