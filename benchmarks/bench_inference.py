"""How fast a trained model draws, against the plain forward of its network in 32 bits, and whether labels agree.

    OMP_NUM_THREADS=1 python benchmarks/bench_inference.py MODEL [IMAGE] [--side 256,256] [--region 100,512,512]
        [--compile] [--json FILE]

One process, one thread, the same patch; process time, the best of a few rounds, so that other work on the machine
hardly counts. Ways that are not installed are left out. With an image its labels by each way are compared with those
of 32 bits: F1 at an overlap of 0.9, of the patch; and of a region (the whole image, or its corner) in tiles, as
`cytoshift segment` draws them, in bfloat16 against 32 bits.

Beside that stands how fast any way could be that does the network's multiplications and additions in bfloat16: at the
rate of a product of two large matrices, in this run on this processor.

  plain        network(x), 32 bits: 1
  told         the same with statistics measured before (`nets.norms.with_statistics`), as tiles of a volume are drawn
  autocast     told, under torch.autocast in bfloat16
  folded 32    norms folded into convolutions, channels last (`nets.folded`), 32 bits
  folded bf16  the same in bfloat16: what `cytoshift segment` does
  onnxruntime, openvino 32, openvino bf16: the exported network, its statistics those of the patch
  compiled     torch.compile of `told` under autocast; needs a C++ compiler, and minutes
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.nets.folded import fold
from cytoshift.nets.formats import computes_bf16
from cytoshift.nets.norms import MeasuredNorms, with_statistics
from cytoshift.predict.network import Tiling, multiple, pad_to_step, probabilities
from cytoshift.predict.pipeline import Options, decode, measure_scale
from record import Wanted, conclude
from workload import sizes, volume_of

Way = Callable[[torch.Tensor], torch.Tensor]
ROUNDS = 3
PRODUCT = 2048  # rows and columns of the matrices
SIDES = {2: (512, 512), 3: (32, 128, 128)}


def seconds(way: Way, x: torch.Tensor) -> float:
    way(x)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        way(x)
        best = min(best, time.process_time() - started)
    return best


def ways(segmenter: Segmenter, x: torch.Tensor, compiled: bool) -> dict[str, Way]:
    """Each gives logits, but the exported ones, which give activated channels."""
    network, measured = segmenter.network, MeasuredNorms(segmenter.network)
    measured.network(x)
    told = with_statistics(network, measured.statistics)

    def cast(image: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return told(image).float()

    out: dict[str, Way] = {"plain": network, "told": told, "autocast": cast}
    for name, dtype in (("folded 32", torch.float32), ("folded bf16", torch.bfloat16)):
        out[name] = fold(network, dtype, measured.statistics)
    if compiled:
        made = torch.compile(told)

        def compiled_cast(image: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return made(image).float()

        out["compiled"] = compiled_cast
    return out | exported(segmenter)


def exported(segmenter: Segmenter) -> dict[str, Way]:
    out: dict[str, Way] = {}
    try:
        import onnxruntime

        from cytoshift.model.export import onnx_model
    except ImportError:
        return out
    content = onnx_model(segmenter).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    out["onnxruntime"] = lambda x: torch.from_numpy(session.run(None, {"image": x.numpy()})[0])
    try:
        import openvino
    except ImportError:
        return out
    for name, kind in (("openvino 32", "f32"), ("openvino bf16", "bf16")):
        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
        made = core.compile_model(core.read_model(content), "CPU", settings)
        out[name] = lambda x, made=made: torch.from_numpy(made([x.numpy()])[0])
    return out


def patch(segmenter: Segmenter, path: str | None, side: tuple[int, ...]) -> tuple[torch.Tensor, bool]:
    """A normalised patch from the middle of an image, and True; without one noise, and False."""
    if path is None:
        rng = torch.Generator().manual_seed(0)
        return torch.randn(1, segmenter.spec.channels, *side, generator=rng).clamp(-1, 1), False
    volume = volume_of(path, segmenter)
    raw = volume.load()
    image = measure_scale(segmenter, volume, raw)(raw)
    image = image.reshape(-1, *image.shape[-len(side) :])
    middle = tuple(slice(max((n - s) // 2, 0), max((n - s) // 2, 0) + s) for n, s in zip(image.shape[1:], side))
    return torch.from_numpy(pad_to_step(image[(slice(None), *middle)], multiple(segmenter)))[None], True


def fastest(network: torch.nn.Module, x: torch.Tensor) -> float:
    """Seconds for the multiply-adds of a network at the rate of a matrix product in bfloat16."""
    with FlopCounterMode(display=False) as counter:
        network(x)
    one = torch.randn(PRODUCT, PRODUCT, generator=torch.Generator().manual_seed(0)).bfloat16()
    return counter.get_total_flops() / (2 * PRODUCT**3) * seconds(lambda other: one @ other, one)


def in_tiles(segmenter: Segmenter, path: str, region: str | None) -> tuple[float, int]:
    """`agreement` of bfloat16 with 32 bits over a corner of an image, and how many objects there are."""
    volume = volume_of(path, segmenter)
    raw = volume.load()
    image = measure_scale(segmenter, volume, raw)(raw)
    corner = tuple(slice(0, n) for n in (sizes(region) if region else image.shape[-segmenter.spec.ndim :]))
    found, wanted = (
        probabilities(segmenter, image[(..., *corner)], Tiling(precision=precision))[None]
        for precision in ("bf16", "32")
    )
    return agreement(segmenter, torch.from_numpy(found), torch.from_numpy(wanted))


def agreement(segmenter: Segmenter, found: torch.Tensor, wanted: torch.Tensor) -> tuple[float, int]:
    """F1 at 0.9 of the labels of two sets of channels, and how many objects there are."""
    truth, pred = (decode(segmenter.representation, c[0].numpy(), segmenter.voxel, Options()) for c in (wanted, found))
    return match(overlap(truth, pred), 0.9).f1, int(truth.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("image", nargs="?")
    parser.add_argument("--side")
    parser.add_argument("--region")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter.load(args.model)
    side = tuple(map(int, args.side.split(","))) if args.side else SIDES[segmenter.spec.ndim]
    with torch.inference_mode():
        x, real = patch(segmenter, args.image, side)
        activate = segmenter.representation.activate
        rows = ways(segmenter, x, args.compile)
        base = seconds(rows["plain"], x)
        wanted = activate(rows["plain"](x))
        limit = base / fastest(segmenter.network, x)
        print(f"{args.model}: {segmenter.spec.kind}, {tuple(x.shape)}, plain {x.numel() / base / 1e6:.2f} Mvoxel/s")
        print(f"  its arithmetic alone, at the rate of matrix products in bfloat16: {limit:.1f} times as fast")
        found_of: dict[str, dict[str, float]] = {}
        for name, way in rows.items():
            ratio = base / seconds(way, x)
            found = way(x) if name.startswith(("onnx", "openvino")) else activate(way(x))
            line = f"  {name:14} {ratio:5.2f} times, channels differ by {float((found - wanted).abs().mean()):.5f}"
            found_of[name] = {"times": ratio, "difference": float((found - wanted).abs().mean())}
            if real:
                score, count = agreement(segmenter, found, wanted)
                line += f", F1@0.9 {score:.4f} of {count} objects"
                found_of[name] |= {"f1_90": score, "objects": count}
            print(line, flush=True)
    ours = found_of["folded bf16"]
    numbers: dict[str, object] = {"voxels": x.numel(), "arithmetic_at_the_rate_of_products": limit}
    asked = [Wanted("times as fast as plain", ours["times"], least=6)] if computes_bf16(torch.device("cpu")) else []
    if real:
        score, count = in_tiles(segmenter, args.image, args.region)
        print(f"  in tiles over {args.region or 'all of the image'}: F1@0.9 {score:.4f} of {count} objects")
        asked.append(Wanted("F1@0.9 of its labels in tiles", score, least=0.99))
        numbers["objects_in_tiles"] = count
    conclude(args.json, numbers | {"ways": found_of}, asked)


if __name__ == "__main__":
    main()
