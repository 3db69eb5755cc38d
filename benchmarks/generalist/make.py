"""Make a model of the package from nothing but its settings: python benchmarks/generalist/make.py nuclei-2d -o RUN.

Images of the kind that it learns from are written to RUN.images, so that a person can look at them; the training draws
its own. `--set train.steps=100` changes settings. Where settings have a part `first`, a first training with these
changes is done in RUN.first, and the training starts from its model.
"""

import argparse
from pathlib import Path

import numpy as np
import yaml

from cytoshift.configure.recipe import overlay_settings
from cytoshift.core.rng import stream
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.write import write_image
from cytoshift.synth import draw_pair
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run

HERE = Path(__file__).parent
COUNT = 16  # images that are written
SIDES = {2: (256, 256), 3: (64, 96, 96)}


def written(run: Run, folder: Path) -> None:
    """Some images of those that the training draws, in 8 bits."""
    shape = SIDES[len(run.patch)]
    voxel = Voxel((1.0,) * len(shape), "px")
    assert run.randomised is not None, "settings of this method say how images are drawn"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        image, _ = draw_pair(run.randomised, shape, voxel, stream(run.seed, "written", i))
        gray = np.rint(127.5 * (image + 1)).astype(np.uint8)
        write_image(folder / f"{i:02d}.tif", gray, voxel, "zyx"[-len(shape) :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(path.stem for path in HERE.glob("*.yaml")))
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    images = asked.out.with_name(f"{asked.out.name}.images")
    changes = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in asked.set)}
    settings = read_yaml(HERE / f"{asked.name}.yaml")
    first = settings.pop("first", {})
    settings = overlay_settings(settings, changes | {"data.images.paths": str(images)})
    written(parse(Run, settings, asked.name), images)
    if first:
        before = parse(Run, overlay_settings(settings, first | changes), asked.name)
        settings["start"] = str(fit(before, asked.out.with_name(f"{asked.out.name}.first")))
    print(fit(parse(Run, settings, asked.name), asked.out))


if __name__ == "__main__":
    main()
