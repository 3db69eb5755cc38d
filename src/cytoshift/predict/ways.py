"""The ways to compute a network, and the proof that the fast ones agree with the plain one.

A fast way is not trusted: kernels of a library can be wrong on one processor and right on all others. Before it is
used, it and the plain network in 32 bits see the same windows of the user's own image; where they disagree, the next
way is tried, and a sentence says so. In the same way one thread has to give the bytes of two before it computes alone.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import prod
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.errors import UserError
from ..core.machine import processor
from ..core.threads import THREADS, threads_at_hand, torch_threads
from ..model import Segmenter
from ..nets.folded import fold, is_supported
from ..nets.formats import computes_bf16, instructions
from ..nets.norms import Statistics, with_statistics
from .tiles import fit_tile, place_tiles

Precision = Literal["auto", "32", "bf16"]
Way = Literal["folded bf16", "folded 32", "autocast bf16", "plain 32"]
PLAIN: Way = "plain 32"

# Rms difference of a channel from that of the plain way, as a share of the channel's standard deviation over the
# windows. Right ways in bfloat16 come to 0.006 (trained networks) to 0.03 (fresh ones), wrong kernels to 0.5 and more.
TOLERANCE = 0.05
LEAST_SPREAD = 0.1  # standard deviation that is taken at least: a window may show background alone
WINDOWS = 3  # that are compared
VOXELS = 2**16  # of all windows; of a large image SHARE of its voxels, so that they reach the size of its tiles
SHARE = 1 / 512  # of the voxels of a large image; see VOXELS

Array = Any  # what reads like an array (C, *S)


@dataclass(frozen=True)
class Proof:
    """What was found out about the ways of a network on this processor.

    Attributes
    ----------
    way : the one that is used.
    errors : of each way that was tried, its largest error over the channels (`TOLERANCE` is allowed).
    seconds : what the proof took.
    sentence : what the user has to know, or "".
    one_thread : on these windows a single thread gave the same bytes as THREADS.
    """

    way: Way
    errors: dict[str, float]
    seconds: float
    processor: str
    instructions: str
    sentence: str = ""
    one_thread: bool = False

    def dump(self) -> dict[str, Any]:
        """For facts.json."""
        return asdict(self) | {"tolerance": TOLERANCE, "errors": {k: float(f"{v:.3g}") for k, v in self.errors.items()}}


Proofs = dict[tuple[Precision, bool, str], Proof]  # by precision, whether statistics are known, and device
PROOFS: WeakKeyDictionary[nn.Module, Proofs] = WeakKeyDictionary()


def proven_way(
    segmenter: Segmenter, image: Array, size: tuple[int, ...], precision: Precision, statistics: Statistics | None
) -> Proof:
    """The fastest way that agrees with the plain one; found out once for a network and a precision in a process.

    Parameters
    ----------
    image : normalised, on the working grid, (C, *S); an array, or what reads boxes like one.
    size : of its tiles, (*T).
    statistics : of norms that are not stored with the network; None if these use the statistics of their input.

    Raises
    ------
    UserError : where bfloat16 is asked for by name and is wrong.
    """
    network: nn.Module = segmenter.network
    found = PROOFS.setdefault(network, {})
    key = precision, statistics is not None, str(next(network.parameters()).device)
    if key not in found:
        found[key] = prove(segmenter, image, size, precision, statistics)
        if found[key].sentence:
            logging.getLogger(__name__).warning(found[key].sentence)
    return found[key]


def proofs(segmenter: Segmenter) -> Proofs:
    """All that this process has found out of a segmenter."""
    return dict(PROOFS.get(segmenter.network, {}))


def remember(segmenter: Segmenter, found: Proofs) -> None:
    """What another process has found out of the same segmenter, so that both compute in the same way."""
    network: nn.Module = segmenter.network
    PROOFS.setdefault(network, {}).update(found)


def proof_of(segmenter: Segmenter) -> Proof | None:
    """The proofs of this process for a segmenter: for its tiles, or for whole images if there were no tiles."""
    found = PROOFS.get(segmenter.network, {})
    return next((found[key] for key in sorted(found, key=lambda key: not key[1])), None)


def one_thread(segmenter: Segmenter) -> bool:
    """Whether one thread computes: this process has less than THREADS, and one has given the bytes of THREADS."""
    found = list(PROOFS.get(segmenter.network, {}).values())
    return threads_at_hand() < THREADS and bool(found) and all(proof.one_thread for proof in found)


def prove(
    segmenter: Segmenter, image: Array, size: tuple[int, ...], precision: Precision, statistics: Statistics | None
) -> Proof:
    """`proven_way`, without a memory."""
    started = time.perf_counter()
    network: nn.Module = segmenter.network
    device = next(network.parameters()).device
    fast, on_cpu = ways(network, device, precision, statistics is not None), device.type == "cpu"
    errors: dict[str, float] = {}
    if not fast and not on_cpu:
        return Proof(PLAIN, errors, time.perf_counter() - started, processor(), "")
    seen = [torch.from_numpy(window[None]).to(device) for window in windows(segmenter, image, size)]
    wanted = channels(segmenter, seen, PLAIN, statistics)
    chosen, computed = PLAIN, wanted
    for way in fast:
        found = channels(segmenter, seen, way, statistics)
        errors[way] = relative_error(found, wanted)
        if errors[way] <= TOLERANCE or not all(np.isfinite(one).all() for one in wanted):
            chosen, computed = way, found
            break
        if precision == "bf16" and way.endswith("bf16"):
            raise UserError(
                f"precision bf16 is too coarse on this processor ({processor()}, {instructions()}): its channels "
                f"differ from those of 32 bits by {errors[way]:.2g} of their standard deviation, {TOLERANCE} is "
                "allowed; choose the precision 32 or auto"
            )
    single = on_cpu and all(
        compute(segmenter, x, chosen, statistics, single=True).tobytes() == one.tobytes()
        for x, one in zip(seen, computed)
    )
    return Proof(
        chosen, errors, time.perf_counter() - started, processor(), instructions() if on_cpu else "",
        sentence(chosen, errors), single,
    )  # fmt: skip


def sentence(chosen: Way, errors: dict[str, float]) -> str:
    """What the user has to know of ways that were tried and are not used."""
    wrong = [f"'{way}' by {value:.2g}" for way, value in errors.items() if way != chosen]
    if not wrong:
        return ""
    return (
        f"a fast way to compute this network is wrong on this processor ({processor()}, {instructions()}): its "
        f"channels differ from those of 32 bits, {' and '.join(wrong)} of their standard deviation, {TOLERANCE} is "
        f"allowed; '{chosen}' is used, which is right and slower"
    )


def ways(network: nn.Module, device: torch.device, precision: Precision, told: bool) -> list[Way]:
    """Those that are worth a try before the plain one, fastest first. told: the norms know their statistics."""
    half = precision == "bf16" or (precision == "auto" and computes_bf16(device))
    if told and is_supported(network):
        return ["folded bf16", "folded 32"] if half else ["folded 32"]
    return ["autocast bf16"] if half else []


def windows(segmenter: Segmenter, image: Array, size: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """Some (C, *W) spread over the image, as wide along x as its tiles: kernels are chosen by the width."""
    space = tuple(image.shape[1:])
    step = tuple(int(m) for m in np.broadcast_to(np.asarray(segmenter.network.multiple), len(space)))
    size = tuple(min(t, n) for t, n in zip(size, space))
    most = max(VOXELS, int(prod(space) * SHARE)) // WINDOWS
    if prod(size) > most:
        rest = fit_tile(size[:-1], max(most // size[-1], 1), step[:-1])
        size = (*(min(max(r, 4 * m), t) for r, m, t in zip(rest, step, size)), size[-1])
    return [np.asarray(image[(slice(None), *place)]) for place in islice(place_tiles(space, size, step), WINDOWS)]


def channels(
    segmenter: Segmenter, seen: Sequence[Tensor], way: Way, statistics: Statistics | None
) -> list[NDArray[np.float32]]:
    """Activated channels of windows, one by one."""
    return [compute(segmenter, x, way, statistics) for x in seen]


def relative_error(found: Sequence[NDArray[np.float32]], wanted: Sequence[NDArray[np.float32]]) -> float:
    """Rms difference over the standard deviation (`LEAST_SPREAD` at least), largest over the channels; inf for NaN."""
    got, truth = (
        np.concatenate([one.reshape(*one.shape[:2], -1)[0] for one in each], axis=1) for each in (found, wanted)
    )
    rms = np.sqrt(np.square(got - truth, dtype=np.float64).mean(1))
    value = float((rms / np.maximum(truth.std(1), LEAST_SPREAD)).max())
    return value if np.isfinite(value) else float("inf")


def compute(
    segmenter: Segmenter, x: Tensor, way: Way, statistics: Statistics | None, single: bool = False
) -> NDArray[np.float32]:
    """Images (B, C, *S) through the network: activated channels (B, K, *S).

    statistics: of norms that are not shipped with theirs. None: those of the image. single: by one thread.
    """
    network: Any = segmenter.network
    with torch_threads(single=single), torch.inference_mode():
        if statistics is not None:
            network = prepare_network(network, way, statistics)
        with torch.autocast(x.device.type, torch.bfloat16, way == "autocast bf16"):
            logits: Tensor = network(x)
        return segmenter.representation.activate(logits.float()).cpu().numpy()


# Of every network the one that was made of it last, with the statistics and the way that it was made for.
PREPARED: WeakKeyDictionary[nn.Module, tuple[Statistics, Way, nn.Module]] = WeakKeyDictionary()


def prepare_network(network: nn.Module, way: Way, statistics: Statistics) -> nn.Module:
    """The network with these statistics, made once for all tiles that share them."""
    known, kept, made = PREPARED.get(network, ({}, None, network))
    same = known is statistics or (not known and not statistics)  # the network has its own
    if not same or kept != way:
        if way.startswith("folded"):
            made = fold(network, torch.bfloat16 if way == "folded bf16" else torch.float32, statistics)
        else:
            made = with_statistics(network, statistics)
        PREPARED[network] = statistics, way, made
    return made
