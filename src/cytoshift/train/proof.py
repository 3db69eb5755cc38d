"""Whether a training in bfloat16 is right on this processor: one step of it against the same step in 32 bits."""

import copy
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..core.errors import UserError
from ..core.machine import processor
from ..methods.base import Method
from ..nets.formats import computes_bf16, instructions
from .step import DivergenceError, advance, backward

# A loss term of a right step in bfloat16 differs by 0.001 to 0.01 of itself, one of kernels that are wrong by a tenth
# by 0.07 to 0.2. Gradients are noisier: where norms divide by small numbers, those of a right step have a cosine of
# 0.93 with those of 32 bits; wrong kernels leave none.
TERM_ERROR = 0.05
LEAST_TERM = 0.02  # a term is taken to be this large at least
LEAST_COSINE = 0.5  # between the gradients of a player in both precisions, at least
HALF, WHOLE = "bf16-mixed", "32"


@dataclass(frozen=True)
class Proof:
    """What was found out about the precision of a training.

    Attributes
    ----------
    precision : the one that is used, "32" or "bf16-mixed".
    term : largest relative difference of a loss term (`TERM_ERROR` is allowed); None where nothing was compared.
    cosine : smallest cosine between gradients of a player (`LEAST_COSINE` at least).
    sentence : what the user has to know, or "".
    """

    precision: str
    term: float | None
    cosine: float | None
    seconds: float
    processor: str
    instructions: str
    sentence: str = ""

    def dump(self) -> dict[str, Any]:
        """For facts.json."""
        return asdict(self)


def cast(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """The contexts in which a method's lines run in a precision."""
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=precision == HALF)


def automatic_precision(precision: str, device: torch.device) -> str:
    """What "auto" means on a device."""
    return precision if precision != "auto" else HALF if computes_bf16(device) else WHOLE


def prove_precision(method: Method, batch: Any, precision: str, device: torch.device) -> Proof:
    """Compare one step in both precisions, from the same weights, without moving them.

    Parameters
    ----------
    precision : of the settings: "auto", "32" or "bf16-mixed".

    Raises
    ------
    UserError : where bf16-mixed is asked for by name and is wrong.
    """
    started, wanted = time.perf_counter(), automatic_precision(precision, device)
    known = processor(), instructions() if device.type == "cpu" else ""
    if wanted == WHOLE:
        return Proof(WHOLE, None, None, time.perf_counter() - started, *known)
    (terms, gradients), (exact, true) = (one_step(method, batch, device, half) for half in (True, False))
    broken = not all(map(math.isfinite, exact.values()))  # of a training that has failed, no format is to blame
    whole = terms.keys() == exact.keys() and all(map(math.isfinite, terms.values()))
    term, cosine = differences(terms, exact, gradients, true) if whole and not broken else (None, None)
    right = all_processes_agree(
        broken or (term is not None and cosine is not None and term <= TERM_ERROR and cosine >= LEAST_COSINE)
    )
    seconds = time.perf_counter() - started
    if right:
        return Proof(HALF, term, cosine, seconds, *known)
    found = describe_fault(term, cosine, ", ".join(filter(None, known)))
    if precision == HALF:
        raise UserError(f"precision {HALF} cannot be used: {found}; set train.precision to 32 or auto")
    return Proof(WHOLE, term, cosine, seconds, *known, f"{found}; this training computes in 32 bits, slower")


def describe_fault(term: float | None, cosine: float | None, place: str) -> str:
    """What is wrong with a step in bfloat16. Near a minimum, gradients are small and differ though nothing is wrong."""
    if term is None or cosine is None:
        fault = "a loss term is NaN or infinite, in 32 bits all terms are finite"
    elif term <= TERM_ERROR:
        return (
            f"a step in bfloat16 is too coarse for this training ({place}): its gradients have a cosine of "
            f"{cosine:.2g} with those of 32 bits, where {LEAST_COSINE} is the least allowed; its loss terms agree, so "
            "the gradients may just be small"
        )
    else:
        fault = (
            f"a loss term differs from that of 32 bits by {term:.2g} of itself, where {TERM_ERROR} is allowed; "
            f"gradients have a cosine of {cosine:.2g}, where {LEAST_COSINE} is the least allowed"
        )
    return f"a step in bfloat16 is wrong on this processor ({place}): {fault}"


def differences(
    terms: dict[str, float], exact: dict[str, float], gradients: dict[str, Tensor], true: dict[str, Tensor]
) -> tuple[float, float]:
    """Largest relative difference of a loss term, and smallest cosine between the gradients of a player."""
    term = max((abs(terms[k] - exact[k]) / max(abs(exact[k]), LEAST_TERM) for k in exact), default=0.0)
    cosine = min((float(torch.cosine_similarity(gradients[k], true[k], 0)) for k in true), default=1.0)
    return term, cosine


def one_step(
    method: Method, batch: Any, device: torch.device, half: bool
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Loss terms by "player/name", and the gradient of each player; of a copy, which no optimiser moves.

    Both end before the first term that is no number, which is the last one.
    """
    method = copy.deepcopy(method)
    context = cast(HALF if half else WHOLE, device)
    terms: dict[str, float] = {}
    gradients: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = method.step(batch, 0.0)
        while (update := advance(body, context())) is not None:
            player = method.players()[update.player]
            player.zero_grad(set_to_none=True)
            try:
                terms |= {name: float(value) for name, value in backward(update).items()}
            except DivergenceError as error:
                return terms | {error.term: math.nan}, gradients
            flat = [p.grad.flatten().float() for p in player.parameters() if p.grad is not None]
            gradients[update.player] = torch.cat(flat)
    return terms, gradients


def all_processes_agree(right: bool) -> bool:
    """Whether it holds in all processes: they take the same steps, so they compute in the same precision."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return right
    agreed = torch.tensor(float(right))
    dist.all_reduce(agreed, dist.ReduceOp.MIN)
    return bool(agreed)
