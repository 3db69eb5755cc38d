"""docs/large.md from what the benchmarks of large volumes have left, and docs/cluster.md with what its commands print.

    python benchmarks/large_page.py [--results benchmarks/large] [--docs docs]

A benchmark that has not been run leaves no JSON and is left out. In docs/cluster.md whatever stands below a line
`$ cytoshift plan ...` is printed anew, which has to be done after new rates (bench_rates.py).
"""

import argparse
import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

from cytoshift.core.atomic import atomic_path
from cytoshift.core.json_files import read_json
from cytoshift.draw import save_png

HEAD = """# Large volumes, measured

Written by `python benchmarks/large_page.py`; each part by the command that stands in it, one thread on one core.
Models: `runs/wsm/model` is AD-GAN's laptop preset, learnt from the volume of DeepSynth that is segmented
(`cytoshift new adgan --images wsm_real_200x512x512.tif`, 2000 steps), `demo/run/model` what `make demo` leaves,
`runs/gonuclear/model` CySGAN's of the row gonuclear-from-phantoms in `benchmarks/specs/nuclei3d-borrowed.yaml`.
"""
PARTS = {
    "throughput": (
        "Throughput, end to end",
        "`cytoshift segment`, from file to labels, against MONAI's sliding windows of the same folded network over an "
        "array in memory: all that is not the network may cost 15 %. Of the same patch and overlap each cuts its own "
        "tiles: MONAI moves the last one in, ours become smaller where as many smaller ones do.",
    ),
    "inference": (
        "The network alone: AD-GAN's translator",
        "The same patch by several ways, in multiples of the plain forward in 32 bits; beside them what the "
        "processor's rate of matrix products in bfloat16 would allow. The plain forward has its memory in huge pages "
        "too, which torch does not take by itself.",
    ),
    "inference-unet": ("The network alone: CySGAN's U-Net", "The same with another network."),
    "grow": (
        "Memory and time against size",
        "A volume, and 2, 4, 8 and 16 times as much, each in a process of its own.",
    ),
    "stitch": (
        "Decoding and stitching",
        "Channels of phantom nuclei that touch, laid down as pass 1 leaves them; passes 2 to 6 and the pyramid "
        "against the one-shot result, object by object.",
    ),
    "workers": ("One worker and two", "Processes with one thread each; the labels have to be the same to the byte."),
    "blocks": (
        "Block sizes",
        "DeepSynth's volume of 200 x 512 x 512 voxels, which has no truth: labels block by block against those in one "
        "piece.",
    ),
    "slide": (
        "A whole slide, everywhere and where tissue is",
        "A slide that is made: phantoms in some ellipses, dark noise elsewhere, a tiled TIFF with six levels. Peak and "
        "CPU seconds are those of `segment nuclei-2d`, with and without `--tissue`.",
    ),
    "mosaic": (
        "A mosaic in 2D and a time series",
        "Phantoms tiled to a large image, and a series with the axes tyx, by the same command.",
    ),
}
PROMPT = re.compile(r"^```\n\$ (cytoshift plan .*)\n(?:.*\n)*?```$", re.MULTILINE)


def page(results: Path, pictures: Path) -> str:
    """All parts that have been measured."""
    from bench_grow import figure

    out = [HEAD]
    for name, (title, words) in PARTS.items():
        if not (found := read_json(results / f"{name}.json")):
            continue
        out += [f"## {title}\n", f"{words}\n", f"```\n$ {found['command']}\n```\n"]
        for one in found["wanted"]:
            out.append(f"- {'met' if one['met'] else '**missed**'}: {wanted(one)}")
        out += ["", *tables(found["numbers"])]
        if name == "grow":
            save_png(pictures / "large-grow.png", figure(found["numbers"]["rows"]))
            out.append(f"![peak memory and time per voxel against size]({pictures.name}/large-grow.png)\n")
        machine = found["machine"]
        out.append(
            f"{machine['cores']} cores of {machine['cpu']}, torch {found['versions']['torch']}, {found['date']}.\n"
        )
    return "\n".join(out)


def wanted(one: dict[str, Any]) -> str:
    limit = f"at least {one['least']:g}" if one["least"] is not None else f"at most {one['most']:g}"
    return f"{one['what']} {one['found']:.4g}, wanted {limit}"


def tables(numbers: dict[str, Any]) -> list[str]:
    """Rows as a table, numbers by name as another; what is nested follows behind."""
    plain = {key: value for key, value in numbers.items() if not nested(value)}
    out = [table(["", ""], [[spelled(key), cell(value)] for key, value in plain.items()])] if plain else []
    for key, value in numbers.items():
        if not nested(value):
            continue
        if isinstance(value, list):
            out.append(table([spelled(name) for name in value[0]], [list(map(cell, row.values())) for row in value]))
        elif all(isinstance(row, dict) for row in value.values()):
            names = list(dict.fromkeys(name for row in value.values() for name in row))
            rows = [[spelled(one), *(cell(row.get(name, "")) for name in names)] for one, row in value.items()]
            out.append(table(["", *map(spelled, names)], rows))
        else:
            out += [f"{spelled(key).capitalize()}:\n", *tables(value)]
    return out


def nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def spelled(key: str) -> str:
    return key.replace("_", " ")


def cell(value: Any) -> str:
    """
    >>> cell([64, 128]), cell(0.98765), cell(134217728), cell("passed")
    ('64 x 128', '0.988', '134,217,728', 'passed')
    """
    if isinstance(value, list | tuple):
        whole = all(isinstance(one, int) for one in value)
        return (" x " if whole else ", ").join(map(str, value) if whole else map(cell, value))
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def printed(text: str) -> str:
    """A page, with what its commands print now."""

    def again(found: re.Match[str]) -> str:
        return f"```\n$ {found[1]}\n{output(shlex.split(found[1], comments=True)[1:])}```"

    return PROMPT.sub(again, text)


def output(words: list[str]) -> str:
    """What a verb writes on standard output."""
    from cytoshift.cli.main import app

    with contextlib.redirect_stdout(io.StringIO()) as said:
        app(words, standalone_mode=False)
    return said.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/large"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    args = parser.parse_args()
    cluster = args.docs / "cluster.md"
    for path, text in (
        (args.docs / "large.md", page(args.results, args.docs / "pictures")), (cluster, printed(cluster.read_text())),
    ):  # fmt: skip
        with atomic_path(path) as beside:
            beside.write_text(text)


if __name__ == "__main__":
    main()
