"""A fast way to compute a network is used where it agrees with the plain one, and nowhere else."""

import itertools
import logging

import numpy as np
import pytest
import torch

from cytoshift.core import threads
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.nets import folded, formats
from cytoshift.nets.network_spec import TranslatorSpec
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict import network, ways
from cytoshift.predict.network import Tiling, probabilities
from cytoshift.predict.pipeline import Options, predict
from cytoshift.represent import BCD
from predicting import nuclei, segmenter, volume

SHAPE = (96, 128)


def image() -> np.ndarray:
    raw, _ = nuclei(SHAPE, 25, 3)
    return Normalisation().measure([raw])(raw)


def frozen(**changes):
    """A segmenter whose norms are shipped with their statistics."""
    spec = TranslatorSpec(ndim=2, width=8, blocks=1, stem=3, hidden=8, frozen=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build().eval().requires_grad_(False)
    network.decode.head[1].weight.mul_(30)  # channels of fresh weights are nearly constant
    return segmenter(spec=spec, network=network, **changes)


def fresh_norms():
    """A segmenter whose norms look at what they see."""
    spec = UNetSpec(
        ndim=2, out=3, widths=(8, 8), kernels=((3, 3),) * 2, strides=((1, 1), (2, 2)), groups=4,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build().eval().requires_grad_(False)
    return segmenter(spec=spec, network=network, representation=BCD())


def off(factor: float, dtype: torch.dtype | None):
    """Convolutions whose results in a format are wrong by a factor; in every format for None."""

    def wrong(real):
        def convolve(x, *rest):
            out = real(x, *rest)
            return out * factor if dtype in (None, x.dtype) else out

        return convolve

    return {ndim: wrong(real) for ndim, real in folded.CONVOLVE.items()}


@pytest.fixture
def has_bf16(monkeypatch):
    monkeypatch.setattr(ways, "computes_bf16", lambda device: True)


def test_what_agrees_is_used_and_found_out_once(has_bf16, monkeypatch, caplog):
    made, seen = frozen(), image()
    probabilities(made, seen, Tiling())
    proof = ways.proof_of(made)
    assert proof.way == "folded bf16" and proof.sentence == "" and not caplog.records
    assert 0 < proof.errors["folded bf16"] < ways.TOLERANCE
    monkeypatch.setattr(ways, "prove", None)  # would end in a TypeError
    probabilities(made, seen, Tiling(tile=(64, 64)))
    assert proof.dump()["instructions"] == formats.instructions()


@pytest.mark.parametrize("factor", [1.1, float("nan")])
def test_kernels_that_are_wrong_are_not_used_and_it_is_said(has_bf16, monkeypatch, caplog, factor):
    made, seen = frozen(), image()
    wanted = probabilities(made, seen, Tiling(precision="32"))
    made = frozen()
    monkeypatch.setattr(folded, "CONVOLVE", off(factor, torch.bfloat16))
    with caplog.at_level(logging.WARNING):
        found = probabilities(made, seen, Tiling())
    proof = ways.proof_of(made)
    np.testing.assert_array_equal(found, wanted)
    assert proof.way == "folded 32" and proof.errors["folded bf16"] > ways.TOLERANCE >= proof.errors["folded 32"]
    assert [record.message for record in caplog.records] == [proof.sentence]
    assert "'folded bf16' by" in proof.sentence and "'folded 32' is used, which is right and slower" in proof.sentence


def test_where_every_fast_way_is_wrong_the_plain_one_is_left(has_bf16, monkeypatch):
    made, seen = frozen(), image()
    monkeypatch.setattr(folded, "CONVOLVE", off(1.1, None))
    found = probabilities(made, seen, Tiling())
    assert ways.proof_of(made).way == "plain 32"
    with torch.inference_mode():
        logits = made.network(torch.from_numpy(seen)[None, None])
        wanted = made.representation.activate(logits)[0].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_wrong_precision_asked_for_by_name_is_an_error(monkeypatch):
    monkeypatch.setattr(folded, "CONVOLVE", off(1.1, torch.bfloat16))
    with pytest.raises(
        UserError, match=r"precision bf16 is too coarse on this processor .* choose the precision 32 or"
    ):
        probabilities(frozen(), image(), Tiling(precision="bf16"))


def test_norms_that_look_at_the_image_are_tried_as_they_are(has_bf16, monkeypatch):
    made = fresh_norms()
    probabilities(made, image(), Tiling())
    assert ways.proof_of(made).way == "autocast bf16"
    tiled = fresh_norms()
    probabilities(tiled, image(), Tiling(tile=(48, 48)))  # measured first, then told to every tile
    assert ways.proof_of(tiled).way == "folded bf16" and len(ways.PROOFS[tiled.network]) == 2
    real = torch.nn.Conv2d._conv_forward

    def wrong(self, x, *rest):
        out = real(self, x, *rest)
        return out * 1.1 if out.dtype == torch.bfloat16 else out

    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", wrong)
    made = fresh_norms()
    probabilities(made, image(), Tiling())
    assert ways.proof_of(made).way in ("plain 32", "autocast bf16")  # norms take a common factor out again
    assert ways.proof_of(made).errors["autocast bf16"] > 0


def test_windows_are_as_wide_as_the_tiles():
    made, large = frozen(), np.zeros((1, 2000, 1600), np.float32)
    seen = ways.windows(made, large, (1024, 1024))
    assert len(seen) == ways.WINDOWS and {one.shape[2] for one in seen} == {1024}
    assert sum(one.size for one in seen) <= 1.2 * ways.VOXELS
    assert [one.shape for one in ways.windows(made, large[:, :64, :64], (64, 64))] == [(1, 64, 64)] * 3


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_any_number_of_threads_gives_the_same_bytes(precision, monkeypatch):
    monkeypatch.setattr(threads, "THREADS", 2)
    seen, found = image(), []
    for count in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            found.append(probabilities(frozen(), seen, Tiling(precision=precision, tile=(64, 64))))
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(before)
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_one_thread_computes_where_cores_are_few_and_it_gives_the_same_bytes(monkeypatch):
    used, real = [], ways.compute

    def watched(segmenter, x, way, statistics, single=False):
        used.append(single)
        return real(segmenter, x, way, statistics, single) + single * wrong

    monkeypatch.setattr(threads, "THREADS", 2)
    monkeypatch.setattr(ways, "THREADS", 2)
    monkeypatch.setattr(ways, "compute", watched)
    monkeypatch.setattr(network, "compute", watched)
    found = {}
    for count, wrong in itertools.product(("1", "2"), (0, 1e-7)):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        made = frozen()
        found[count, wrong] = probabilities(made, image(), Tiling(tile=(64, 64))).tobytes()
        assert ways.proof_of(made).one_thread == (not wrong)
        assert used[-1] == (not wrong and threads.threads_at_hand() == 1)
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(
    ("able", "limit", "name", "fast"),
    [
        ({"amx_bf16", "avx512_bf16", "avx512_f", "avx2"}, "", "Intel Xeon", ("AMX", True)),
        ({"amx_bf16", "avx512_bf16", "avx512_f", "avx2"}, "AVX512_CORE_BF16", "Intel Xeon", ("AVX-512 bf16", False)),
        ({"avx512_bf16", "avx512_f", "avx2"}, "", "AMD EPYC 9R14", ("AVX-512 bf16", True)),
        ({"avx512_bf16", "avx512_f", "avx2"}, "AVX512_CORE", "AMD EPYC 9R14", ("AVX-512", False)),
        ({"avx512_f", "avx2"}, "", "Intel Xeon", ("AVX-512", False)),
        ({"amx_bf16", "avx512_bf16", "avx512_f", "avx2"}, "avx2", "Intel Xeon", ("AVX2", False)),
    ],
)
def test_the_format_follows_from_the_processor_and_its_limit(monkeypatch, able, limit, name, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(able, True))
    monkeypatch.setattr(formats, "processor", lambda: name)
    for variable in formats.CAPS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert (formats.instructions(), formats.computes_bf16(torch.device("cpu"))) == fast


def test_labels_are_those_of_the_way_that_is_right(has_bf16, monkeypatch):
    """The whole line, as a user has it: the labels of a processor with wrong kernels are those of 32 bits."""
    raw, _ = nuclei(SHAPE, 25, 3)
    wanted = predict(frozen(), volume(raw), Options(precision="32")).labels
    monkeypatch.setattr(folded, "CONVOLVE", off(1.1, torch.bfloat16))
    np.testing.assert_array_equal(predict(frozen(), volume(raw), Options()).labels, wanted)
