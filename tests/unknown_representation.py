"""A representation that the program does not know, through every command: `python unknown_representation.py FOLDER`.

Run as a process of its own, as settings and model files learn the kinds of representations when they are imported.
Prints one line of JSON with what the commands found.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from cytoshift import represent
from cytoshift.core.settings import parse
from cytoshift.represent.base import label_components, to_floats

CERTAINTY = 0.3  # that the second channel learns, whatever the first one shows


class Level(represent.Representation):
    """A mask, and a level from -2 to 2 that alone says how sure the network is; 256 levels are too few for it."""

    kind: Literal["level"] = "level"
    threshold: float = Field(0.4, gt=0, lt=1)
    smallest: float = 3.0

    channels: ClassVar = ("inside", "level")
    ranges: ClassVar = ((0, 1), (-2, 2))
    eight_bits: ClassVar = False
    link: ClassVar = "contact"
    decode_bytes: ClassVar = 30
    papers: ClassVar = ("lin2021nucmm",)
    tunable: ClassVar = {"threshold": (0.3, 0.4, 0.5)}

    def encode(self, labels, voxel):
        inside = labels > 0
        return np.stack([inside, np.full(labels.shape, 4 * CERTAINTY - 2)]).astype(np.float32)

    def activate(self, logits):
        import torch

        return torch.cat([logits[:, :1].sigmoid(), 4 * logits[:, 1:].sigmoid() - 2], 1)

    def loss(self, logits, target):
        from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

        inside = binary_cross_entropy_with_logits(logits[:, :1], target[:, :1])
        return inside + mse_loss(self.activate(logits)[:, 1:], target[:, 1:])

    def foreground(self, channels):
        return to_floats(channels, self.ranges)[0]

    def confidence(self, channels):
        return (to_floats(channels, self.ranges)[1] + 2) / 4

    def decode(self, channels, voxel):
        assert channels.dtype == np.float32, "256 levels are too few"
        return label_components(channels[0] > self.threshold)[0]

    def with_threshold(self, threshold: float) -> Self:
        return parse(type(self), self.model_dump() | {"threshold": threshold})

    def describe(self) -> str:
        return f"Instances were represented by a mask above {self.threshold:g} and a level"


represent.RepresentationSettings = Annotated[represent.RepresentationSettings | Level, Field(discriminator="kind")]


def blobs(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of bright discs on a dark, noisy ground."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    for number, centre in enumerate(rng.uniform(0, shape, (shape[0] * shape[1] // 300, 2)), 1):
        labels[((places - centre) ** 2).sum(-1) <= 20] = number
    return np.clip((labels > 0) * 150 + rng.normal(50, 5, shape), 0, 255).astype(np.uint8), labels


def confidences(path: Path) -> list[float]:
    with path.open() as file:
        return sorted(float(row["confidence"]) for row in csv.DictReader(file))


def main(folder: Path) -> dict[str, object]:
    import tifffile

    from cytoshift.cli.main import app
    from cytoshift.data.volumes import image_source, open_volumes
    from cytoshift.model import Segmenter
    from cytoshift.predict.live import LiveSegmentation

    def call(*words: object) -> None:
        app([str(word) for word in words], standalone_mode=False)

    for part, shape, count in (("train", (64, 64), 2), ("new", (96, 96), 1)):
        for kind in ("images", "labels"):
            (folder / part / kind).mkdir(parents=True)
        for number in range(count):
            for kind, array in zip(("images", "labels"), blobs(shape, number)):
                tifffile.imwrite(folder / part / kind / f"{number}.tif", array)
    images, labels = folder / "train" / "images", folder / "train" / "labels"
    image, grid = folder / "new" / "images" / "0.tif", ("--voxel", "1,1", "--unit", "px")
    settings, out, model = folder / "run.yaml", folder / "run", folder / "run" / "model"
    call("new", "supervised", "--images", images, "--source", images, labels, "-o", settings, *grid, "--quiet")
    call(
        "train", settings, "-o", out, "represent={kind: level}", "tune=true", "train.steps=60", "train.lr=1e-2",
        "train.precision=32", "train.snapshots=2", "patch=[32, 32]", "options.widths=[8, 8]", "--quiet",
    )  # fmt: skip
    call("segment", model, image, "-o", folder / "whole", *grid, "--precision", "32", "--quiet")
    blocks = ("--block", "64,64", "--halo", "12,12", "--workers", "1")
    call("segment", model, image, "-o", folder / "blocks", *grid, "--precision", "32", *blocks, "--quiet")
    call("trust", folder / "whole" / "0.tif", image, "-m", model, *grid, "--quiet")
    call("select", out, image, "--thresholds", *grid, "--quiet")
    call("export", model, "--to", "onnx", "-o", folder / "model.onnx")
    (volume,) = open_volumes(image_source([str(image)], None, None, 0, "1,1", "px", None))
    seen = LiveSegmentation(Segmenter.load(model), volume, volume).classes[""][:, :]
    found = tifffile.imread(folder / "whole" / "0.tif")
    return {
        "representation": Segmenter.load(model).representation.kind,
        "true": label_components(blobs((96, 96), 0)[1] > 0)[1],
        "whole": int(found.max()),
        "seen": len(np.unique(seen[seen > 0])),
        **{f"confidence {way}": confidences(folder / way / "report" / "objects.csv") for way in ("whole", "blocks")},
        "said": "by a mask above" in (folder / "whole" / "report" / "report.html").read_text(),
        "selected": json.loads((out / "selected" / "select.json").read_text())["chosen"],
        "trusted": (folder / "whole" / "0.trust.csv").is_file(),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
