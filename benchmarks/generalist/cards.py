"""The cards of the models of the package, with pictures: python benchmarks/generalist/cards.py -o RUNS --docs docs

Writes docs/models.md and docs/pictures/card-NAME.png: for each kind of synthetic image the one that a model segments
best and the one that it segments worst, by F1@0.5, of a few. The scores of the table come from the card of the model.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from cytoshift.bench.cell import segment_with_fit
from cytoshift.bench.dataset_spec import Files, Phantoms
from cytoshift.bench.datasets import Material, open_dataset
from cytoshift.bench.method_spec import ExistingModel
from cytoshift.bench.scoring import label_path, score_dataset
from cytoshift.core.atomic import atomic_path
from cytoshift.core.rng import stream
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_image, write_labels
from cytoshift.draw import image_grid, outline, save_png, thumbnail
from cytoshift.model.segmenter import read_model_file
from cytoshift.model.shipped import FOLDER, model_names
from cytoshift.synth import draw_pair
from cytoshift.synth.random_pairs import Randomised

SIZE = 240  # pixels of a picture's longer side
PRESETS = {"nuclei-2d": ("sparse-2d", "dense-2d"), "nuclei-3d": ("hl60-3d-75", "hl60-3d-75-noisy", "dense-3d")}
COUNT = {"nuclei-2d": 8, "nuclei-3d": 6}  # images of a kind
SHAPE, VOXEL = (256, 256), Voxel((1.0, 1.0), "px")
# Kinds of images that presets do not have; one size, so that the size of a set can be measured.
DRAWN = {
    "tissue": Randomised(diameter=(15, 18), tissue=1, walls=0, coarse=0, dim=0, cover=(0.2, 0.6)),
    "walls": Randomised(diameter=(15, 18), tissue=0, walls=1, coarse=0, dim=0, cover=(0.2, 0.6)),
    "faint objects": Randomised(diameter=(15, 18), tissue=0, walls=0, coarse=0, dim=1, faintest=0.07, cover=(0.2, 0.6)),
}
HEAD = """# Model cards

What each model of the package learnt from, how it scored, and where it fails. `cytoshift models` prints most of it.
`python benchmarks/generalist/cards.py -o runs/cards --docs docs` made this page. [Labels at once](generalist.md) says
how to use the models.
Thresholds were chosen on phantoms and fluo256/train; no other set was looked at before its score was read.
"""


def drawn_set(kind: str, folder: Path) -> Material:
    """Synthetic images of one kind on disk."""
    for number in range(COUNT["nuclei-2d"]):
        image, labels = draw_pair(DRAWN[kind], SHAPE, VOXEL, stream(3, "card", kind, number))
        name = f"{number:02d}.tif"
        write_image(folder / "images" / name, np.rint(127.5 * (image + 1)).astype(np.uint8), VOXEL, "yx")
        write_labels(folder / "labels" / name, labels, VOXEL, "yx")
    files = Files(name=kind.replace(" ", "-"), images="images", labels="labels", polarity="bright")
    return open_dataset(files, folder, folder)


def best_and_worst(name: str, kind: str, here: Material, folder: Path) -> tuple[list[Any], list[str], float]:
    """Pictures of the image with the highest and of the one with the lowest F1@0.5, their captions, and the mean."""
    segment = segment_with_fit(ExistingModel(name=name, kind="model", model=name), here)
    images = score_dataset(segment, here, folder)["images"]
    order = sorted(range(len(images)), key=lambda i: -images[i]["f1_50"])
    cells, words = list[Any](), list[str]()
    for place, i in (("best", order[0]), ("worst", order[-1])):
        pair, (found,) = here.pairs[i], open_labels(label_path(folder, here.pairs[i], ""))
        shown = pair.image.load()
        cells += [
            thumbnail(shown, pair.image.voxel, size=SIZE),
            outline(shown, found.load(), pair.truth(), pair.image.voxel, size=SIZE),
        ]
        words += [f"{kind}, {place} of {len(images)}", f"F1@0.5 {images[i]['f1_50']:.2f}, Dice {images[i]['dice']:.2f}"]
    return cells, words, float(np.mean([image["f1_50"] for image in images]))


def draw_card(name: str, out: Path, docs: Path) -> dict[str, float]:
    """The picture of a card. Returns the mean F1@0.5 of each kind."""
    rows, captions, means = [], [], {}
    sets = {
        kind: open_dataset(Phantoms(name=kind, preset=kind, images=COUNT[name], train=1, seed=3), None, out / "made")
        for kind in PRESETS[name]
    }
    if name == "nuclei-2d":
        sets |= {kind: drawn_set(kind, out / "made" / kind.replace(" ", "-")) for kind in DRAWN}
    for kind, here in sets.items():
        cells, words, means[kind] = best_and_worst(name, kind, here, out / name / kind.replace(" ", "-"))
        rows.append(cells)
        captions.append(words)
        print(f"{name}: {kind} {means[kind]:.3f}", flush=True)
    heading = f"{name}: prediction amber, truth blue, both white"
    save_png(docs / "pictures" / f"card-{name}.png", image_grid(rows, captions=captions, heading=heading))
    return means


def section(name: str, means: dict[str, float]) -> list[str]:
    """A card as Markdown."""
    card = read_model_file(FOLDER / name).card
    size = sum(path.stat().st_size for path in (FOLDER / name).iterdir()) / 1e6
    lines = [f"## {name}", "", f"{card['summary'][0].upper()}{card['summary'][1:]}.", "", "| what | |", "| --- | --- |"]
    lines += [f"| {key} | {card[key]} |" for key in ("learnt from", "training", "size", "licence")]
    lines += [f"| on disk | {size:.1f} MB |", "", "| images | Dice | F1@0.5 | AP-50 |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {key} | " + " | ".join(f"{n:.3f}" for n in row.values()) + " |" for key, row in card["scores"].items()
    ]
    lines += ["", "Where it fails:", "", *(f"- {sentence}" for sentence in card["failures"]), ""]
    lines += [
        f"Pictures: {COUNT[name]} synthetic images of each kind, drawn with another seed than those of the table, "
        "whose scores they need not have. Mean F1@0.5: "
        + ", ".join(f"{kind} {mean:.2f}" for kind, mean in means.items())
        + (f". Of {', '.join(DRAWN)} the polarity is given." if DRAWN.keys() & means.keys() else "."),
        "",
        f"![The best and the worst image of each kind by {name}](pictures/card-{name}.png)",
        "",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path, required=True)
    asked = parser.parse_args()
    lines = [*HEAD.splitlines(), ""]
    for name in model_names():
        lines += section(name, draw_card(name, asked.out, asked.docs))
    with atomic_path(asked.docs / "models.md") as path:
        path.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
