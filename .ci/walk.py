"""Does what README.md shows, and every other verb, with the Cytoshift of an environment, in an empty folder.

    ENVIRONMENT/bin/python .ci/walk.py [FOLDER]

Each block of README is walked in the order of its lines, on images made here and with trainings of a few steps. A
command that asks for an extra which is not installed has to say so. Prints a line for each command; ends with 1 where
one failed.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
CYTOSHIFT = Path(sysconfig.get_path("scripts")) / "cytoshift"
SHORT = "train.steps=4 train.batch=1 train.snapshots=2 train.sheet_every=2 train.log_every=2 train.precision=32"
NARROW = {  # networks that take a step in a blink, whatever the method
    "adgan": "options.width=2 options.discriminator=2 options.hidden=4 options.blocks=1 options.stem=3",
    "cysgan": "options.widths=[8,8] options.stem=3 options.plus=false options.non_local=false "
    "options.discriminator=[4,4]",
    "mask_cyclegan": "options.width=4 options.discriminator=[4,4] options.blocks=1 options.stem=3 options.pool=8",
}
NETWORK = "cytoshift data dsb2018"  # not walked: it downloads
WAIT = 900  # seconds for a command

BASE = """
SYSTEM: {NUM_GPUS: 1}
MODEL: {ARCHITECTURE: unet_plus_3d, INPUT_SIZE: [17, 129, 129], FILTERS: [32, 64, 96, 128, 160]}
DATASET: {INPUT_PATH: train/, IMAGE_NAME: x.tif, LABEL_NAME: lx.tif, MATCH_ACT: tanh}
NEW_DOMAIN: {IMAGE_NAME: y.tif}
SOLVER: {NAME: AdamW, BASE_LR: 2e-3, ITERATION_TOTAL: 100, SAMPLES_PER_BATCH: 2}
"""
BCD = "MODEL: {TARGET_OPT: ['0', '4-1-1', '5-3d-1-0-2.0'], LOSS_WEIGHT: [[1.0, 0.5], [1.0, 0.5], [5.0]]}\n"
SPEC = """
title: Tiny
datasets: [{name: made, preset: sparse-2d, images: 1, train: 1, shape: [96, 96]}]
methods: [{name: floor, kind: classical}]
"""
# What README shows in its table alone: after the block "Your images", in its folder.
OTHERS = """
cytoshift convert images/cells.tif again.ome.zarr --workers 2
cytoshift plan images/cells.tif
cytoshift translate runs/run/model truth/ -o drawn/
cytoshift evaluate truth/ labels/
cytoshift label cellprofiler images/ -o pipeline/ --set "diameter=[5,60]"
cytoshift vote truth/ labels/ -o voted/
cytoshift stitch labels/ --axes zyx --voxel 2,1,1 --unit px -o stacks/
cytoshift report runs/run
cytoshift export runs/run/model --to onnx -o model.onnx
cytoshift export runs/run/model --to bioimageio -o model.zip
cytoshift bench SPEC.yaml -o bench/ --jobs 2
cytoshift import-config Base.yaml BCD.yaml --voxel 2.5,1.3,1.3 -o imported.yaml
cytoshift train run.yaml -o runs/shared train.workers=2
cytoshift demo --steps 8
cytoshift doctor
"""
# Where something is missing or too small that the command names, ending in a sentence: that is right as well.
ALLOWED = (r"pip install '[a-z]+\[[a-z]+\]'|pip install 'cytoshift\[[a-z]+\]'", r"/dev/shm has [0-9.e+]+ MB free")

AFTER = (  # headings of README, whose commands need what "Your images" has left
    "How good is it, without labels?", "Look at the result", "Volumes that do not fit into memory", "Public data sets",
)  # fmt: skip


def sections() -> dict[str, list[str]]:
    """Commands of each block of README that has some, under the block's heading."""
    found: dict[str, list[str]] = {}
    heading, inside = "", False
    for line in README.read_text().replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif line.startswith("#"):
            heading = line.strip("# ")
        elif inside and line.startswith("$ cytoshift"):
            found.setdefault(heading, []).append(line[2:].partition("  #")[0].strip())
    return found


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "walk").resolve()
    folder.mkdir(parents=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so its children
    blocks, walk = sections(), Walk(folder)
    started = time.perf_counter()
    walk.all("one", ["cytoshift synth sparse-2d -n 2 -o phantoms"])
    first = folder / "one"
    (first / "phantoms" / "labels").rename(first / "truth")
    (first / "phantoms" / "images").rename(first / "images")
    for name in ("images", "truth"):
        (first / name / "sparse-2d_000.tif").rename(first / name / "cells.tif")
    walk.all("one", blocks.pop("Labels from nothing"))
    walk.all("one", [*blocks.pop("Your images"), "cytoshift convert images/cells.tif brain.ome.zarr"])
    for heading in AFTER:
        walk.all("one", blocks.pop(heading))
    (first / "Base.yaml").write_text(BASE)
    (first / "BCD.yaml").write_text(BCD)
    (first / "SPEC.yaml").write_text(SPEC)
    walk.all("one", OTHERS.strip().splitlines())
    for number, command in enumerate(blocks.pop("Labels of another modality")):
        if not number:
            borrowed(walk)
        walk.all("two" if "ynet" not in command else "three", [command])
    classes(walk)
    walk.all("four", blocks.pop("Several channels, several kinds of objects"))
    walk.all("one", helps())
    if blocks:
        walk.failed.append(f"blocks of README that are not walked: {', '.join(blocks)}")
    print(f"{walk.done} commands, {len(walk.failed)} failed, {time.perf_counter() - started:.0f} s")
    for line in walk.failed:
        print("FAILED", line)
    return 1 if walk.failed else 0


def borrowed(walk: "Walk") -> None:
    """Source with labels and target of another modality; and two volumes of sections with masks, for ynet."""
    import numpy as np
    import tifffile

    walk.all("two", ["cytoshift synth em-to-expansion -n 1 --shape 24,96,96 -o pair"])
    pair = walk.folder / "two" / "pair"
    (pair / "source").rename(walk.folder / "two" / "em")
    (pair / "target" / "images").rename(walk.folder / "two" / "expansion")
    rng = np.random.default_rng(0)
    places = np.argwhere(np.ones((2, 4, 4), bool))
    for name in "ab":
        mask = np.zeros((2, 160, 160), np.uint8)
        for t, y, x in places:
            cy, cx = 40 * y + 20 + rng.integers(-6, 7), 40 * x + 20 + rng.integers(-6, 7)
            mask[t, cy - 8 : cy + 8, cx - 9 : cx + 9] = 255
        raw = 150 - mask // 4 + rng.normal(0, 8, mask.shape)
        room = walk.folder / "three" / name
        room.mkdir(parents=True)
        tifffile.imwrite(room / "raw.tif", raw.clip(0, 255).astype(np.uint8))
        tifffile.imwrite(room / "mask.tif", mask)


def classes(walk: "Walk") -> None:
    walk.all("four", ["cytoshift synth retina -n 1 -o retina"])
    room = walk.folder / "four"
    (room / "retina" / "images").rename(room / "stacks")
    (room / "retina" / "labels").rename(room / "truth")


def helps() -> list[str]:
    """Of the program and of every verb, both ways."""
    shown = subprocess.run([CYTOSHIFT, "--help"], capture_output=True, text=True).stdout
    verbs = re.findall(r"^  ([a-z][a-z-]+)", shown.partition("Commands:")[2], re.MULTILINE)
    return ["cytoshift -h", *(f"cytoshift {verb} {option}" for verb in verbs for option in ("--help", "-h"))]


class Walk:
    """Runs commands, each in a folder of its section, and remembers which failed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done, self.failed = folder, 0, list[str]()

    def all(self, room: str, commands: list[str]) -> None:
        (self.folder / room).mkdir(exist_ok=True)
        for command in commands:
            if command.startswith(NETWORK):
                print(f"   -      -  {command}: not walked, it downloads", flush=True)
                continue
            started = time.perf_counter()
            code, said = self.one(self.folder / room, shlex.split(command))
            seconds, self.done = time.perf_counter() - started, self.done + 1
            right = code == 0 or (code == 2 and any(re.search(allowed, said) for allowed in ALLOWED))
            right = right or (command.startswith("cytoshift assess") and code in (3, 4))  # its advice
            right = right and "Traceback" not in said
            print(f"{code:4} {seconds:6.1f}  {command}" + (f"  [{last(said)}]" if code else ""), flush=True)
            if not right:
                self.failed.append(f"{command}\n{said}")

    def one(self, room: Path, words: list[str]) -> tuple[int, str]:
        """Exit code, and what was said on both streams."""
        words = [str(CYTOSHIFT), *words[1:]]
        if words[1] == "train" and words[2].endswith(".yaml"):
            method = re.search(r"^method: (\w+)", (room / words[2]).read_text(), re.MULTILINE)
            words += [*SHORT.split(), *NARROW.get(method.group(1) if method else "", "").split()]
        if words[1] == "view" and len(words) > 3:
            return looked([*words, "--no-browser"], room)
        try:
            ended = subprocess.run(
                words, cwd=room, timeout=WAIT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except subprocess.TimeoutExpired as error:
            return -1, f"not done after {WAIT} s: {error.stdout!r}"
        return ended.returncode, ended.stdout


def looked(words: list[str], room: Path) -> tuple[int, str]:
    """A viewer that is asked for its page, and ended as by Ctrl-C."""
    with subprocess.Popen(
        words, cwd=room, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if address := re.search(r"http://127\.0\.0\.1:\S+", line):
                with urllib.request.urlopen(address.group(), timeout=30) as page:
                    said += f"{page.status}\n"
                process.send_signal(signal.SIGINT)
                break
        said += process.stdout.read()
    return (0 if re.search(r"^200$", said, re.MULTILINE) else process.returncode), said


def last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:160] if lines else ""


if __name__ == "__main__":
    sys.exit(main())
