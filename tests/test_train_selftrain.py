"""Self-training: a model goes on, on some images, taught by labels on which voters agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from cytoshift.cli.new import new
from cytoshift.configure.self_training import selftraining_run
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.corrupt import Blur, Corrupt, CutOut, sample_corruptions
from cytoshift.data.streams import Batches
from cytoshift.data.volumes import ImageSource, Volume, open_volumes
from cytoshift.data.write import write_image
from cytoshift.labels.pseudo import IGNORED
from cytoshift.methods.selftrain import SelfTrain
from cytoshift.model import Segmenter
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict.voting import write_pseudo_labels
from cytoshift.represent import BCD
from cytoshift.synth.phantoms import phantom
from cytoshift.train.domain_streams import domain_streams, fit_sides
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.trust.size_fit import fit_segmenter
from tiny_methods import batch_of, build, terms_of

SHAPES = {2: ("sparse-2d", (112, 112)), 3: ("hl60-3d-25", (20, 48, 48))}
DIAMETERS = {2: 14.0, 3: 5.0}  # um


@pytest.fixture(scope="module", params=[2, 3])
def taught(request, tmp_path_factory):
    """Images with pseudo-labels, and a tiny model for objects of any size."""
    ndim, folder = request.param, tmp_path_factory.mktemp("taught")
    name, shape = SHAPES[ndim]
    for i in range(2):
        image, truth, voxel = phantom(name, 1, shape, i)
        write_image(folder / "images" / f"{i}.tif", image, voxel, "zyx"[-ndim:])
        (volume,) = open_volumes(ImageSource(paths=str(folder / "images" / f"{i}.tif")))
        others = np.where(truth == 1, 0, truth)
        write_pseudo_labels(folder / "pseudo" / f"{i}.tif", volume, [truth, others, np.roll(others, 1, -1)])
    torch.manual_seed(0)
    spec = UNetSpec.for_voxel(Voxel((1.0,) * ndim), 1, 3, (8, 16), stem=3, plus=False, non_local=False)
    represent = BCD(contour="slice" if ndim == 2 else "volume", smallest=4.0, seed_voxels=3)
    model = Segmenter(
        spec, spec.build(), Normalisation(), None, Voxel((1.0,) * ndim, "px"), "zyx"[-ndim:], represent, {}, 12.0
    )
    return folder, model.save(folder / "start")


def settings(taught, **changes):
    folder, start = taught
    source = ImageSource(paths=str(folder / "images"))
    volumes = open_volumes(source)
    fitted = fit_segmenter(Segmenter.load(start), volumes, DIAMETERS[volumes[0].voxel.ndim], "bright")
    fitted = replace(fitted, sides={"1": fitted.voxel.size[0] * 1.2})
    run = selftraining_run(fitted, start, source, ImageSource(paths=str(folder / "pseudo")), seed=3, **changes)
    return fitted, run.model_copy(update={"patch": tuple(n // 8 * 4 for n in run.patch)})  # seconds


def test_a_model_goes_on_and_stays_what_it_was_fitted_to(taught, tmp_path):
    fitted, run = settings(taught, steps=2)
    assert run.source.ignore_id == IGNORED and run.seed == 3 and run.train.steps == 2 and "widths" not in run.options
    low, high = run.randomised.diameter
    assert low < DIAMETERS[fitted.voxel.ndim] < high < 40
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    model = Segmenter.load(fit(parse(Run, read_yaml(tmp_path / "run.yaml"), "run"), tmp_path / "run", quiet=True))
    assert model.spec == fitted.spec and model.voxel == fitted.voxel and model.sides == fitted.sides
    assert model.representation == fitted.representation and model.diameter is None
    before = torch.cat([p.flatten() for p in fitted.network.parameters()])
    after = torch.cat([p.flatten() for p in model.network.parameters()])
    assert 0 < (before - after).abs().max() < 0.01  # it began with these weights


def test_a_batch_has_more_images_than_synthetic_ones(taught):
    _, run = settings(taught)
    volumes, voxel = open_volumes(run.data.images), Voxel(run.data.voxel, "um")
    streams = domain_streams(run, SelfTrain.batch, volumes, voxel)
    batch = Batches(SelfTrain.batch, streams, {"source": 3, "synthetic": 1})[1]
    assert len(batch.source.image) == len(batch.source.target) == 3 and len(batch.synthetic.image) == 1
    again = streams["source"].sample(4)[0]
    assert np.array_equal(batch.source.image[1].numpy(), again)
    shares = [float(np.isnan(streams["source"].sample(i)[1]).mean()) for i in range(8)]
    assert 0 < np.mean(shares) < 0.6 and not batch.synthetic.target.isnan().any()


def test_a_run_that_was_stopped_goes_on(taught, tmp_path):
    _, run = settings(taught, steps=4)
    train = run.train.model_copy(update={"checkpoint_every": 2, "precision": "32", "decay_from": 1.0})
    run = run.model_copy(update={"train": train})
    part = run.model_copy(update={"train": train.model_copy(update={"steps": 2})})
    whole = fit(run, tmp_path / "whole", quiet=True)
    fit(part, tmp_path / "part", quiet=True)
    again = fit(run, tmp_path / "part", quiet=True)
    assert (whole / "weights.safetensors").read_bytes() == (again / "weights.safetensors").read_bytes()


def test_the_loss_is_that_of_known_voxels_and_of_synthesis():
    method = build("selftrain", rehearsal=0.5)
    batch = batch_of(method)
    target = batch.source.target.clone()
    target[:, :, :12] = torch.nan
    batch = batch._replace(source=batch.source._replace(target=target))
    terms = terms_of(next(method.step(batch, 0.0)))
    known = method.represent.loss(method.net(batch.source.image)[:, :, 12:], target[:, :, 12:])
    assert terms["segment"].item() == pytest.approx(known.item(), rel=1e-4)
    logits = method.net(batch.synthetic.image)
    assert terms["rehearse"].item() == pytest.approx(
        0.5 * method.represent.loss(logits, batch.synthetic.target).item(), rel=1e-4
    )
    assert all(picture.isfinite().all() for picture in method.sample_images(batch).values())


def test_images_with_other_objects_are_read_at_their_own_side():
    volumes = [Volume(name, np.zeros((8, 8)), "yx", Voxel((1.0, 1.0), "um"), "made here") for name in "ab"]
    fitted = fit_sides(volumes, Voxel((2.0, 2.0), "um"), {"b": 4.0})
    assert fitted[0] is volumes[0] and fitted[1].voxel.size == (0.5, 0.5)


def test_a_start_brings_the_sizes_of_its_network_where_the_settings_say_none(taught, tmp_path):
    _, run = settings(taught, steps=1)
    supervised = run.model_copy(update={"method": "supervised", "options": {}, "randomised": None})
    assert (fit(supervised, tmp_path / "run", quiet=True) / "model.json").exists()
    wrong = run.model_copy(update={"options": {"widths": (8, 8)}})
    with pytest.raises(UserError, match="holds another network"):
        fit(wrong, tmp_path / "wrong", quiet=True)


def test_new_fits_the_model_of_the_package(taught, tmp_path):
    folder, start = taught
    out, source = tmp_path / "run.yaml", (str(folder / "images"), str(folder / "pseudo"))
    new(SelfTrain.name, [str(folder / "images")], source=source, start=str(start), out=out, quiet=True)
    run = parse(Run, read_yaml(out), "run")
    assert run.method == SelfTrain.name and run.start == str(start) and run.source.ignore_id == IGNORED
    assert run.data.voxel == run.source.voxel and out.with_suffix(".png").exists()
    assert "nothing is learnt from them" in " ".join(out.read_text().replace("#", "").split())


def test_cut_outs_and_blur():
    image = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    rng = np.random.default_rng(0)
    cut, blur = sample_corruptions(Corrupt(cut_out=1.0, blur=1.0, blur_width=(0.02, 0.03)), (40, 40), rng)
    assert isinstance(cut, CutOut) and isinstance(blur, Blur) and len(cut.boxes) == 3
    seen = cut(image)
    changed = seen != image
    assert 0 < changed.mean() < 0.25 and np.allclose(seen[changed], image.mean(), atol=1e-6)
    assert blur(image).std() < 0.8 * image.std() and blur(image).dtype == np.float32
