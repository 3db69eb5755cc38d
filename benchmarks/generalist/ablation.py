"""What parts of the synthesis bring: python benchmarks/generalist/ablation.py -o runs/ablation [nuclei-2d/no-walls ...]

Trains each variant with one seed for a third of the steps, in 2D a narrower network (`mb-3` has the widths of the
model of the package, `mb-8` weights of 8 MB), and puts it beside its run as a model for any size:
runs/ablation/nuclei-2d/no-walls/nuclei-2d. Their tables:

    cytoshift bench benchmarks/specs/generalist-ablation-2d.yaml --data ../shared/data -o runs/bench-ablation-2d
    cytoshift bench benchmarks/specs/generalist-ablation-3d.yaml --data ../shared/data -o runs/bench-ablation-3d
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMMON = {"nuclei-2d": ["train.steps=2000", "options.widths=[16, 32, 64, 128]"], "nuclei-3d": ["train.steps=2000"]}
VARIANTS = {
    "nuclei-2d/all": [],
    "nuclei-2d/no-walls": ["randomised.walls=0"],
    "nuclei-2d/one-size": ["randomised.diameter=[13, 14]"],
    "nuclei-2d/no-tissue": ["randomised.tissue=0"],
    "nuclei-2d/mb-3": ["options.widths=[24, 48, 96, 192]"],
    "nuclei-2d/mb-8": ["options.widths=[40, 80, 152, 304]"],
    "nuclei-3d/all": [],
    "nuclei-3d/no-walls": ["randomised.walls=0"],
    "nuclei-3d/one-size": ["randomised.diameter=[14, 16]"],
    "nuclei-3d/isotropic": ["randomised.coarse=0"],
    "nuclei-3d/mb-8": ["options.widths=[32, 56, 104, 144]"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of {', '.join(VARIANTS)}; default: all")
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    for variant in asked.variants or VARIANTS:
        model, name = variant.split("/")
        run, shipped = asked.out / model / f"{name}.run", asked.out / model / name
        if (shipped / model / "model.json").exists():
            continue
        settings = [*COMMON[model], *VARIANTS[variant]]
        make = [HERE / "make.py", model, "-o", run, "--set", *settings]
        for words in (make, [HERE / "ship.py", run, model, "-o", shipped]):
            subprocess.run([sys.executable, *map(str, words)], check=True)


if __name__ == "__main__":
    main()
