"""Batch norm with the statistics of each domain, measured anew over the target before a model is shipped."""

from itertools import product

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.configure.recipe import overlay_settings
from cytoshift.configure.source_labels import settings_from_source
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels, open_volumes
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.nets.folded import fold, has_frozen_norms
from cytoshift.nets.norms import FixedMean, FixedNorm, MeasuredNorms, looks_at_image
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict.network import Tiling, probabilities
from cytoshift.represent import BCD, Semantic
from cytoshift.train.domain_streams import image_stream
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.train.ship import freeze, windows
from predicting import nuclei, segmenter
from test_train_borrowed import SHORT, TINY, known, sides, volumes  # noqa: F401
from tiny_methods import batch_of, build, optimizers_of, step

NORMS = ("group", "instance", "batch")
ADAPT = ("supervised", "mmd", "coral", "dann", "ynet", "mean_teacher", "feature", "cysgan")
KINDS = {"group": "GroupNorm", "instance": "InstanceNorm", "batch": "BatchNorm"}


def spec_of(norm: str, ndim: int) -> UNetSpec:
    return UNetSpec.for_voxel(Voxel((1.0,) * ndim), 1, 3, (8, 8), stem=3, norm=norm, plus=True, non_local=True)


def settings(pair, method: str, patch: tuple[int, ...], **options) -> Run:
    run = settings_from_source(*pair, method=method).model_dump(mode="json") | {"options": {}, "tune": False}
    tiny = {"options": TINY[method], "patch": patch}
    return parse(Run, overlay_settings(overlay_settings(run, SHORT | tiny), {"options": options}), "a test")


@pytest.mark.parametrize(("norm", "ndim"), list(product(NORMS, [2, 3])))
def test_every_norm_is_a_choice_and_holds_statistics_once_it_is_frozen(norm, ndim):
    """Frozen on images, a network gives them what it gave them as one batch with pooled statistics."""
    torch.manual_seed(0)
    spec = spec_of(norm, ndim)
    live = spec.build().eval()
    with torch.no_grad():
        for parameter in live.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    norms = [type(layer).__name__ for layer in live.modules() if looks_at_image(layer)]
    assert {name.rstrip("123d") for name in norms} == {KINDS[norm], "AdaptiveAvgPool"}
    x = 3 * torch.randn(2, 1, *(16,) * ndim)
    frozen, shipped = freeze(spec, live, x.numpy(), torch.no_grad)
    assert frozen == spec.model_copy(update={"frozen": True}) and has_frozen_norms(shipped)
    with torch.no_grad():
        torch.testing.assert_close(shipped(x), MeasuredNorms(live).network(x), rtol=1e-4, atol=1e-4)
        alone, together = shipped(x[:1]), shipped(torch.cat([x[:1], 9 + x[1:]]))[:1]
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)  # what lies beside an image is nothing to it
    kinds = {type(layer) for layer in shipped.modules()}
    assert FixedNorm in kinds and FixedMean in kinds
    again = UNetSpec.model_validate_json(frozen.model_dump_json()).build()
    again.load_state_dict(shipped.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(x), shipped(x))


def test_a_model_of_before_has_group_norm():
    old = {k: v for k, v in spec_of("group", 2).model_dump().items() if k not in ("norm", "frozen")}
    assert UNetSpec.model_validate(old) == spec_of("group", 2)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("method", ADAPT)
def test_a_domain_has_its_own_statistics_in_training(method, ndim):
    """Another target leaves the segmentation of the source as it was: no statistics are shared."""
    made = build(method, ndim, norm="batch")
    batch = batch_of(made, ndim)
    changed = batch
    if "target" in batch._fields:
        changed = batch._replace(target=type(batch.target)(*(one.flip(-1) * 0.3 + 0.5 for one in batch.target)))
    name = "segment_x" if method == "cysgan" else "segment"
    losses = []
    for one in (batch, changed):
        update = next(made.step(one, 0.5))
        terms = {key: value for objective in update.objectives for key, value in objective.terms.items()}
        losses.append(terms[name].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    terms = step(made, optimizers_of(made), batch)
    assert all(value.isfinite() for value in terms.values())


@pytest.mark.parametrize("method", ["supervised", "mean_teacher", "cysgan", "cyclegan-yx"])
def test_what_is_shipped_has_the_statistics_of_the_target(known, method, tmp_path):  # noqa: F811
    options = {"segment": {"norm": "batch"}} if method == "cyclegan-yx" else {"norm": "batch"}
    run = settings(known, method, (32, 32), **options)
    model = Segmenter.load(fit(run, tmp_path / "run", quiet=True))
    chained = method == "cyclegan-yx"
    spec = model.spec.segment if chained else model.spec
    assert spec.norm == "batch" and spec.frozen
    if chained:
        assert any(looks_at_image(layer) for layer in model.network.first.modules())  # a translator is as it was
        return
    live = spec.model_copy(update={"frozen": False}).build().eval()
    live.load_state_dict({key: model.network.state_dict()[key] for key in live.state_dict()})
    found = {}
    for side in ("target", "source"):
        pair = (
            run
            if side == "target"
            else run.model_copy(
                update={
                    "data": run.data.model_copy(
                        update={
                            "images": run.source.images,
                            "normalise": run.source.normalise,
                            "voxel": run.source.voxel,
                        }
                    )
                }
            )
        )
        opened = open_volumes(pair.data.images)
        measured = MeasuredNorms(live)
        with torch.no_grad():
            measured.network(torch.from_numpy(windows(image_stream(pair, opened, model.voxel), run.seed)))
        found[side] = measured.statistics["stem.norm"][0]
    shipped = model.network.state_dict()["stem.norm.running_mean"]
    torch.testing.assert_close(shipped, found["target"], rtol=1e-4, atol=1e-5)
    assert (shipped - found["source"]).abs().max() > 10 * (shipped - found["target"]).abs().max()


def test_a_training_goes_on_from_a_frozen_model(known, tmp_path):  # noqa: F811
    run = settings(known, "supervised", (32, 32), norm="batch")
    first = fit(run, tmp_path / "first", quiet=True)
    second = fit(run.model_copy(update={"start": str(first), "seed": 1}), tmp_path / "second", quiet=True)
    assert Segmenter.load(second).spec == Segmenter.load(first).spec
    other = settings(known, "supervised", (32, 32), norm="instance").model_copy(update={"start": str(first)})
    with pytest.raises(UserError, match="holds another network"):
        fit(other, tmp_path / "third", quiet=True)


@pytest.mark.parametrize("shape", [(64, 128), (16, 32, 128)])
def test_a_block_with_what_the_network_sees_around_it_has_the_bytes_of_the_whole(shape, tmp_path):
    """A phantom in one piece and in two, by a model that was saved and loaded; as it was in training it is not so."""
    ndim, half, reach = len(shape), shape[-1] // 2, 32
    torch.manual_seed(0)
    spec = UNetSpec.for_voxel(Voxel((1.0,) * ndim), 1, 3, (8, 8), stem=3, norm="batch")
    live = spec.build().eval()
    raws = [nuclei(shape, 30, seed, empty=0.5 * (seed == 0))[0] for seed in range(3)]
    x = np.stack([volume_scale(raw)(raw) for raw in raws])[:, None]
    frozen, network = freeze(spec, live, x[1:], torch.no_grad)
    segmenter(ndim, spec=frozen, network=network, representation=BCD()).save(tmp_path / "model")
    model, seen = Segmenter.load(tmp_path / "model"), torch.from_numpy(x[:1])
    apart = {}
    for name, one in (("shipped", fold(model.network, torch.float32)), ("live", live)):
        with torch.no_grad():
            whole, left, right = one(seen), one(seen[..., : half + reach]), one(seen[..., half - reach :])
        blocks = torch.cat([left[..., :half], right[..., reach:]], -1)
        whole, blocks = (model.representation.activate(each)[0].numpy() for each in (whole, blocks))
        stored = [model.representation.to_stored(each) for each in (whole, blocks)]
        apart[name] = int(np.abs(stored[0].astype(int) - stored[1]).max())
    assert apart["shipped"] == 0 < apart["live"]


def volume_scale(raw: np.ndarray):
    return Normalisation().measure([raw])


def shipped_model(folder, ndim: int = 2) -> tuple[torch.nn.Module, Segmenter]:
    """The network as it was in training, and as a model with statistics of other images than those of `nuclei` 0."""
    torch.manual_seed(0)
    live = UNetSpec.for_voxel(Voxel((1.0,) * ndim), 1, 1, (8, 8), stem=3, norm="batch")
    network = live.build().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        raw = nuclei((64,) * 2 if ndim == 2 else (16, 32, 32), 30, 1)[0]
        middle = MeasuredNorms(network).network(torch.from_numpy(volume_scale(raw)(raw)[None, None])).median()
        [*network.parameters()][-1].sub_(middle)  # about a half is foreground
    other = 5 + 3 * torch.randn(2, 1, *(32,) * ndim)
    spec, frozen = freeze(live, network, other.numpy(), torch.no_grad)
    segmenter(ndim, spec=spec, network=frozen, representation=Semantic(split="components")).save(folder)
    return network, Segmenter.load(folder)


@pytest.mark.parametrize("shape", [(48, 64), (16, 32, 32)])
def test_an_adapted_model_takes_the_statistics_of_the_image(shape, tmp_path):
    live, model = shipped_model(tmp_path / "model", len(shape))
    raw = nuclei(shape, 30, 0)[0]
    seen = torch.from_numpy(volume_scale(raw)(raw)[None, None])
    adapted = model.adapt_norms()
    assert not has_frozen_norms(adapted.network) and adapted.adapt_norms() is adapted
    with torch.no_grad():
        expected = model.representation.activate(MeasuredNorms(live).network(seen))[0].numpy()
    found = probabilities(adapted, seen[0].numpy(), Tiling(precision="32"))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(probabilities(model, seen[0].numpy(), Tiling(precision="32")) - expected).max() > 0.05


def test_adapt_by_the_command_line_whole_in_blocks_and_by_workers(tmp_path):
    shipped_model(tmp_path / "model")
    raw = nuclei((96, 128), 60, 0)[0]
    for name in ("a.tif", "b.tif"):
        write_image(tmp_path / "images" / name, raw, Voxel((1.0, 1.0)), "yx")

    def segment(*words: object) -> None:
        done = CliRunner().invoke(app, ["segment", *map(str, (tmp_path / "model", *words, "--quiet"))])
        if done.exception:
            raise done.exception

    one, image = tmp_path / "images", tmp_path / "images" / "a.tif"
    segment(one, "-o", tmp_path / "plain")
    segment(one, "-o", tmp_path / "adapted", "--adapt")
    segment(one, "-o", tmp_path / "shared", "--adapt", "--workers", 2)
    segment(image, "-o", tmp_path / "blocks.ome.zarr", "--adapt", "--block", "64,64", "--halo", "32,32")
    plain, adapted, shared = (open_labels(tmp_path / name)[0].load() for name in ("plain", "adapted", "shared"))
    blocks = open_labels(tmp_path / "blocks.ome.zarr")[0].load()
    assert np.array_equal(adapted, shared)
    assert (adapted > 0).mean() == pytest.approx((blocks > 0).mean(), abs=0.02)
    assert abs((adapted > 0).mean() - (plain > 0).mean()) > 0.02
    with pytest.raises(UserError, match="adapt was True, now the default"):
        segment(one, "-o", tmp_path / "adapted")
