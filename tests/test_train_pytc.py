"""Settings of CySGAN in PyTorch Connectomics: taken over, or listed."""

import pytest
import yaml
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.configure.pytc import import_settings
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.corrupt import PAPER
from cytoshift.methods.cysgan import Options
from cytoshift.train.run_settings import Run

BASE = {
    "SYSTEM": {"NUM_GPUS": 2},
    "AUGMENTOR": {"MISSINGPARTS": {"ITER": 48, "SKIP": ["recon_image"]}, "MOTIONBLUR": {"SKIP": ["recon_image"]}},
    "MODEL": {"ARCHITECTURE": "unet_plus_3d", "INPUT_SIZE": [17, 129, 129], "FILTERS": [32, 64, 96, 128, 160]},
    "DATASET": {"INPUT_PATH": "datasets/train/", "IMAGE_NAME": "x.tif", "LABEL_NAME": "lx.tif", "MATCH_ACT": "tanh"},
    "NEW_DOMAIN": {"IMAGE_NAME": "y.tif"},
    "SOLVER": {"NAME": "AdamW", "BASE_LR": "2e-3", "ITERATION_TOTAL": 100000, "SAMPLES_PER_BATCH": 2},
    "INFERENCE": {"STRIDE": [16, 128, 128]},
}
BCD = {"MODEL": {"TARGET_OPT": ["0", "4-1-1", "5-3d-1-0-2.0"], "LOSS_WEIGHT": [[1.0, 0.5], [1.0, 0.5], [5.0]]}}
VOXEL = Voxel((2.5, 1.3, 1.3), "um")


def files(tmp_path, *contents):
    paths = []
    for i, content in enumerate(contents):
        paths.append(tmp_path / f"{i}.yaml")
        paths[-1].write_text(yaml.safe_dump(content))
    return paths


def test_the_papers_files_give_the_papers_run(tmp_path):
    run, left = import_settings(files(tmp_path, BASE, BCD), VOXEL)
    assert run.source.images.paths == "datasets/train/x.tif" and run.source.labels.paths == "datasets/train/lx.tif"
    assert run.data.images.paths == "datasets/train/y.tif" and run.data.images.voxel == VOXEL.size
    assert run.patch == (16, 128, 128) and run.represent.kind == "bcd"
    assert (run.represent.dice, run.represent.regression) == (0.5, 5.0)
    assert (run.train.lr, run.train.steps, run.train.batch) == (2e-3, 100_000, 2)
    assert parse(Options, run.options, "options") == Options()
    assert run.source.corrupt == PAPER
    names = [line.partition(" = ")[0] for line in left]
    assert sorted(names) == ["DATASET.MATCH_ACT", "INFERENCE.STRIDE", "SYSTEM.NUM_GPUS"]
    assert any("the overlap of 'cytoshift segment'" in line for line in left)


def test_what_is_switched_off_stays_off(tmp_path):
    off = {
        "NEW_DOMAIN": {"SEMI_SUP": False},
        "AUGMENTOR": {"CUTNOISE": {"ENABLED": False}, "ELASTIC": {"P": 0.25}},
        "MODEL": {"TARGET_OPT": ["0", "4-1-1"], "LOSS_WEIGHT": [[1.0], [1.0]], "ARCHITECTURE": "unet_3d"},
    }
    run, _ = import_settings(files(tmp_path, BASE, off), VOXEL)
    assert (run.options["agree"], run.options["shape"], run.options["plus"]) == (0.0, 0.0, False)
    assert (run.data.corrupt.cut_noise, run.data.corrupt.elastic) == (0.0, 0.25)
    assert (run.represent.kind, run.represent.dice) == ("bc", 0.0)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"MODEL": {"TARGET_OPT": ["2"]}}, "MODEL.TARGET_OPT is ['2'], but only mask, contour and distance are known"),
        ({"DATASET": {"LABEL_NAME": ""}}, "DATASET.LABEL_NAME is needed"),
        ({"AUGMENTOR": {"ELASTIC": {"SKIP": ["recon_image"]}}}, "AUGMENTOR.ELASTIC skips recon_image"),
        ({"AUGMENTOR": {"ELASTIC": {"P": 2}}}, "AUGMENTOR: elastic = 2"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, extra, sentence):
    with pytest.raises(UserError) as caught:
        import_settings(files(tmp_path, BASE, extra), VOXEL)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_the_verb_writes_and_lists(tmp_path):
    out = tmp_path / "run.yaml"
    words = ["import-config", *map(str, files(tmp_path, BASE, BCD)), "--voxel", "2.5,1.3,1.3", "-o", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "not taken over: SYSTEM.NUM_GPUS = 2: give it as train.devices" in result.output
    assert parse(Run, read_yaml(out)).method == "cysgan" and out.read_text().startswith("# not taken over: ")
    assert isinstance(CliRunner().invoke(app, words).exception, UserError)
