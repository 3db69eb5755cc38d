"""`cytoshift run`: labels from nothing, in stages, that can be stopped at any time."""

import json
import shlex
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import cytoshift
from cytoshift.cli.main import app
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_image, write_labels
from cytoshift.ensemble import Calibration, Measurements, budget, calibration, ensemble, large, voters
from cytoshift.ensemble.voters import ClassicalVoter
from cytoshift.labels.ids import relabel
from cytoshift.labels.vote import elect
from cytoshift.metrics.evaluation import evaluate
from cytoshift.model import Segmenter
from cytoshift.predict.outputs import Table
from cytoshift.synth.phantoms import phantom


def run(*words):
    result = CliRunner().invoke(app, ["run", *(str(word) for word in words)])
    return result.exit_code, result.output + str(result.exception or "")


def hashes(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


def told(output):
    return json.loads(next(line for line in output.splitlines() if line.startswith("{")))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in (1, 2):
        image, _, voxel = phantom("sparse-2d", seed, (128, 128))
        write_image(folder / f"{seed}.tif", image, voxel, "yx")
    return folder


@pytest.fixture(scope="module")
def first(images, tmp_path_factory):
    """A finished first stage: folder, and what the command said."""
    out = tmp_path_factory.mktemp("run") / "out"
    code, said = run(images, "-o", out, "--budget", "0", "--json")
    assert code == 0, said
    return out, said


def test_the_first_result_has_labels_table_report_and_model(first, images):
    out, said = first
    result = told(said)
    assert result["stage"] == "first" and 0.5 < result["expected_f1"] <= 1
    for name in ("labels/1.tif", "labels/2.tif", "labels/report/report.html", "labels/report/overview.png",
                 "model/model.json", "voters/otsu/1.tif", "voters/network/2.tif"):  # fmt: skip
        assert (out / name).exists(), name
    table = (out / "labels" / "report" / "objects.csv").read_text().splitlines()
    assert len(table) == 1 + result["objects"] and table[0].endswith("confidence")
    _, truth, _ = phantom("sparse-2d", 1, (128, 128))
    assert evaluate(truth, open_labels(str(out / "labels" / "1.tif"))[0].load()).f1_50 > 0.8
    assert "first result after" in said and any("cytoshift vote" in line for line in result["commands"])


def test_the_single_commands_give_the_same_labels(first, tmp_path, monkeypatch):
    out, said = first
    monkeypatch.chdir(tmp_path)
    for command in told(said)["commands"]:
        assert CliRunner().invoke(app, shlex.split(command)[1:]).exit_code == 0, command
    for name in ("1.tif", "2.tif"):
        for again, before in (("network", "voters/network"), ("network-size-0.75", "voters/network-size-0.75"),
                              ("labels", "labels")):  # fmt: skip
            found = open_labels(str(tmp_path / "by-hand" / again / name))[0].load()
            assert np.array_equal(found, open_labels(str(out / before / name))[0].load())


def test_the_same_command_goes_on_and_another_one_is_refused(first, images, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(first[0], out)
    labels = {name: (out / "labels" / name).read_bytes() for name in ("1.tif", "2.tif")}
    decided = json.loads((out / "run.json").read_text())
    decided["stages"] = {}  # as if it had been stopped in the vote
    (out / "run.json").write_text(json.dumps(decided))
    (out / "voters" / "otsu" / "2.tif").unlink()
    (out / "labels" / "2.tif").unlink()
    code, said = run(images, "-o", out, "--budget", "0")
    assert code == 0, said
    assert labels == {name: (out / "labels" / name).read_bytes() for name in labels}
    code, said = run(images, "-o", out, "--budget", "0", "--polarity", "dark")
    assert code and "another request" in said and "polarity" in said
    assert run(images, "-o", out, "--budget", "0", "--diameter", "9", "--overwrite")[0] == 0
    assert json.loads((out / "run.json").read_text())["measured"]["diameter"] == 9


def test_the_advice_after_a_first_failure_can_be_followed(tmp_path):
    """Nothing was found, so nothing is lost by another request."""
    write_image(tmp_path / "empty.tif", np.zeros((32, 32), np.uint8), Voxel((1.0, 1.0)), "yx")
    out = ("-o", tmp_path / "out", "--budget", "0")
    code, said = run(tmp_path / "empty.tif", *out)
    assert code and "--diameter" in said
    code, said = run(tmp_path / "empty.tif", *out, "--diameter", "9")
    assert code == 0, said


@pytest.mark.parametrize("note", [None, "[1]", "damaged", '{"of": "somebody"}'])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_files_of_the_user_stay(images, tmp_path, note, more):
    """Whatever a file of the name run.json says that this command did not write."""
    for name in ("labels", "model", "training", "voters"):
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "mine.txt").write_bytes(b"mine")
    if note is not None:
        (tmp_path / "out" / "run.json").write_text(note)
    before = hashes(tmp_path)
    code, said = run(images, "-o", tmp_path / "out", "--budget", "0", *more)
    assert code and len(said.strip().splitlines()) <= 3 and "Traceback" not in said
    assert hashes(tmp_path) == before


def test_labels_of_others_vote_too(first, images, tmp_path):
    """They are voters like the others, and part of the request."""
    others = tmp_path / "others"
    for name in ("1.tif", "2.tif"):
        labels = open_labels(str(first[0] / "labels" / name))[0].load().astype(np.int32)
        labels[:5, :5] = labels.max() + 1
        write_labels(others / name, labels, Voxel((1.0, 1.0)), "yx")
    before, out = hashes(others), tmp_path / "out"
    code, said = run(images, "-o", out, "--budget", "0", "--voter", others, "--voter", others, "--json")
    assert code == 0, said
    assert hashes(others) == before and {"given-1", "given-2"} <= {path.name for path in (out / "voters").iterdir()}
    assert (out / "voters" / "given-1" / "1.tif").exists() and "voters/given-2" in told(said)["commands"][-1]
    labels = open_labels(str(others / "1.tif"))[0].load()
    assert evaluate(labels, open_labels(str(out / "labels" / "1.tif"))[0].load()).recall > 0.9
    labels[-5:, -5:] = 200
    write_labels(others / "1.tif", labels, Voxel((1.0, 1.0)), "yx")
    code, said = run(images, "-o", out, "--budget", "0", "--voter", others, "--voter", others)
    assert code and "another request (labels of 1 by given-1 was " in said
    (others / "2.tif").unlink()
    code, said = run(images, "-o", tmp_path / "two", "--budget", "0", "--voter", others)
    assert code and "image '2' has no labels of its name" in said
    code, said = run(images, "-o", others, "--budget", "0", "--voter", others)
    assert code and not (others / "labels").exists()


def test_images_are_not_written_to(images):
    before = hashes(images)
    assert run(images, "-o", images, "--budget", "0")[0] and hashes(images) == before


def test_a_file_in_the_place_of_results_is_said_before_the_work(images, tmp_path, monkeypatch):
    (tmp_path / "out.tif").write_bytes(b"mine")
    monkeypatch.setattr(ensemble, "fit", lambda *_, **__: pytest.fail("nothing is measured"))
    code, said = run(images, "-o", tmp_path / "out.tif", "--budget", "0")
    assert code and "is a file, and a folder is to be written there" in said


def test_another_training_keeps_the_first_labels(images, tmp_path, monkeypatch):
    """What the command advises, --budget, is no other request."""
    out = tmp_path / "out"
    assert run(images, "-o", out, "--budget", "0")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in out.glob("voters/*/*.tif")}
    monkeypatch.setattr(budget, "LEAST_STEPS", 2)
    monkeypatch.setattr(budget, "TIMED_STEPS", (1, 2))
    code, said = run(images, "-o", out, "--budget", "0.001s", "--json")
    assert code == 0 and told(said)["stage"] == "final", said
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert (out / "voters" / "trained" / "1.tif").exists()
    code, said = run(images, "-o", out, "--budget", "0", "--json")
    assert code == 0 and told(said)["stage"] == "first" and not (out / "training").exists()
    assert not any("trained" in command for command in told(said)["commands"])


@pytest.mark.parametrize(
    "words, sentence",
    [(("--budget", "soon"), "--budget soon is no time"), (("--budget", "-3"), "is no time"),
     (("--model", "nuclei-3d"), "works on 'zyx' images"), (("--model", "nobody"), "nobody"),
     (("--polarity", "grey"), "polarity")],
)  # fmt: skip
def test_bad_wishes_end_in_a_sentence(images, tmp_path, words, sentence):
    code, said = run(images, "-o", tmp_path / "out", *words)
    assert code and sentence in said and "Traceback" not in said


def test_large_images_are_labelled_by_blocks(images, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "WHOLE_VOXELS", 1000)
    monkeypatch.setitem(large.BOX_SIDES, 2, (96, 96))
    code, said = run(images, "-o", tmp_path / "out", "--budget", "0", "--json")
    assert code == 0, said
    assert "labels all" in said and (tmp_path / "out" / "sample" / "labels").is_dir()
    found = open_labels(str(tmp_path / "out" / "labels" / "1.ome.zarr"))[0].load()
    _, truth, _ = phantom("sparse-2d", 1, (128, 128))
    assert evaluate(truth, found).f1_50 > 0.8


def test_voters_share_the_measured_size(images):
    from cytoshift.data.volumes import open_volumes
    from cytoshift.model import Segmenter
    from cytoshift.model.shipped import model_folder

    volumes = open_volumes(str(images))
    measured = Measurements(diameter=10.0, polarity="dark", sides={"1": 0.5})
    every = voters(Segmenter.load(model_folder("nuclei-2d")), "x", volumes, measured)
    assert len({one.name for one in every}) == len(every) == 5
    plain, _, larger = every[:3]
    assert larger.segmenter.voxel.size[0] == pytest.approx(1.33 * plain.segmenter.voxel.size[0])
    assert larger.segmenter.sides["1"] == pytest.approx(1.33 * 0.5)
    assert all(one.dark for one in every if isinstance(one, ClassicalVoter))


def test_expected_f1_counts_what_is_wrong_and_what_is_missed():
    curve = Calibration(votes=(0, 1), right=(0, 1), hidden=1, left=1, unseen=0)
    one = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2]])
    assert curve.f1(elect([one, one])) == 1
    other = np.where(one == 2, 0, one)
    found = elect([one, other, other], least=0.5)
    assert len(found.votes) == len(found.left) == 1
    assert curve.f1(found) == pytest.approx(2 / 3)
    nothing = np.zeros_like(one)
    assert curve.f1(elect([nothing, nothing])) == 1
    assert (np.diff(calibration().right) >= 0).all()


def test_a_stage_is_not_done_twice(first, images, monkeypatch, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(first[0], out)
    monkeypatch.setattr(ensemble, "vote_image", lambda *_, **__: pytest.fail("it was finished"))
    assert run(images, "-o", out, "--budget", "0")[0] == 0


def test_steps_of_a_budget_are_not_led_by_what_a_process_does_once_or_by_a_busy_machine(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 13.0, 20.0, 22.0])  # 9 s with what is done once, 3 s for 3 steps, 2 s for 9
    monkeypatch.setattr(budget.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(budget, "fit", lambda run, folder, quiet: None)
    monkeypatch.setattr(budget, "with_steps", lambda run, steps: run)
    assert budget.steps_within(10, None) == 450


@pytest.mark.parametrize("surer", [True, False])
def test_a_network_that_learnt_from_the_vote_votes_too_where_it_makes_it_surer(images, tmp_path, monkeypatch, surer):
    from cytoshift.data.volumes import ImageSource, open_volumes
    from cytoshift.ensemble import Wishes, open_ensemble
    from cytoshift.predict.blockwise.engine import Serial

    monkeypatch.setattr(Calibration, "f1", lambda self, election: (1 if surer else -1) * len(election.weights) / 10)
    source = ImageSource(paths=str(images))
    made = open_ensemble(tmp_path / "out", open_volumes(source), source, "nuclei-2d", Wishes(steps=2))
    made.claim(overwrite=False)
    before = made.label_at_once(Serial())
    first = [before.outputs.open(volume).load() for volume in made.volumes]
    found = made.run(Serial())
    assert found.stage == "final" and ("trained" in found.voters) == surer
    assert [one.name for one in made.deciding(found)] == found.voters and made.every("final")[-1].name == "trained"
    assert (tmp_path / "out" / "voters" / "trained" / "1.tif").exists() and made.trained_model.exists()
    assert (Segmenter.load(tmp_path / "out" / "model").card == Segmenter.load(made.trained_model).card) == surer
    if not surer:
        assert found.f1 == before.f1
        assert all(map(np.array_equal, first, [found.outputs.open(volume).load() for volume in made.volumes]))
    again = open_ensemble(tmp_path / "out", open_volumes(source), source, "nuclei-2d", Wishes(steps=2))
    again.claim(overwrite=False)
    assert again.improve(Serial()).f1 == found.f1


def test_where_the_voters_agree_nothing_is_trained(first, images, tmp_path):
    out = tmp_path / "out"
    code, said = run(images, "-o", out)
    assert code == 0 and "no network is trained" in said and not (out / "training").exists()


@pytest.mark.parametrize("name", ["labels.tif", "labels.png", "labels.ome.zarr"])
def test_the_name_of_a_file_does_not_become_a_folder(images, tmp_path, name):
    code, said = run(images, "-o", tmp_path / name)
    assert code and "results are a folder" in said and not (tmp_path / name).exists()


@pytest.fixture(scope="module")
def flat_stack(tmp_path_factory):
    """Five sections of nuclei that are 9 um wide in a stack of 4 um."""
    image, labels, voxel = phantom("hl60-3d-00", 5, (24, 128, 128))
    path = tmp_path_factory.mktemp("flat") / "flat.tif"
    write_image(path, image[9:14], voxel, "zyx")
    return path, relabel(labels[9:14])


@pytest.fixture(scope="module")
def by_sections(flat_stack):
    out = flat_stack[0].with_name("sections")
    code, said = run(flat_stack[0], "-o", out, "--budget", "0", "--sections", "--json")
    assert code == 0, said
    return out, said


def test_sections_of_a_stack_become_objects_of_it(flat_stack, by_sections, tmp_path, monkeypatch):
    out, said = by_sections
    (found,) = open_labels(str(out / "labels" / "flat.tif"))
    assert found.axes == "zyx" and evaluate(flat_stack[1], found.load()).f1_50 > 0.7
    result = told(said)
    assert result["images"] == 1 and result["objects"] == found.load().max() and 0.4 < result["expected_f1"] <= 1
    for name in ("labels/report/report.html", "labels/report/overview.png", "sections/images/flat_z4.tif",
                 "sections/model/model.json", "sections/labels/flat_z0.tif"):  # fmt: skip
        assert (out / name).exists(), name
    sure = Table.read(out / "labels" / "report" / "objects.csv").numbers("confidence")
    assert len(sure) == result["objects"] and (sure > 0).all() and (sure <= 1).all()
    monkeypatch.chdir(tmp_path)
    for command in result["commands"]:
        assert CliRunner().invoke(app, shlex.split(command)[1:]).exit_code == 0, command
    assert np.array_equal(open_labels("by-hand/stacks/flat.tif")[0].load(), found.load())


def test_python_labels_sections_as_the_command_does(flat_stack, by_sections, tmp_path):
    found = cytoshift.run(str(flat_stack[0]), tmp_path / "out", budget=0, sections=True)
    assert np.array_equal(found.labels("flat"), open_labels(str(by_sections[0] / "labels" / "flat.tif"))[0].load())
    assert (found.model / "model.json").exists() and list(found.expected_f1) == ["flat"]


def test_sections_go_on_where_they_were(flat_stack, by_sections):
    out, _ = by_sections
    before = (out / "labels" / "flat.tif").read_bytes()
    (out / "labels" / "flat.tif").unlink()
    decided = json.loads((out / "sections" / "run.json").read_text())
    (out / "sections" / "run.json").write_text(json.dumps(decided | {"stages": {}}))  # as if stopped in the vote
    (out / "sections" / "voters" / "otsu" / "flat_z2.tif").unlink()
    code, said = run(flat_stack[0], "-o", out, "--budget", "0", "--sections")
    assert code == 0, said
    assert (out / "labels" / "flat.tif").read_bytes() == before
    (out / "labels" / "flat.tif").unlink()  # as if stopped when the last stage was finished
    assert run(flat_stack[0], "-o", out, "--budget", "0", "--sections")[0] == 0
    assert (out / "labels" / "flat.tif").read_bytes() == before
    code, said = run(flat_stack[0], "-o", out, "--budget", "0")
    assert code and "already exists" in said, "labels of another kind of call stay"


def test_a_flat_stack_is_said_to_be_one(flat_stack, tmp_path):
    code, said = run(flat_stack[0], "-o", tmp_path / "out", "--budget", "0")
    assert code == 0 and "--sections" in said
    code, said = run(flat_stack[0], "-o", tmp_path / "out", "--budget", "0", "--sections")
    assert code and "without `sections`" in said.replace("--sections", "`sections`")


def test_images_in_2d_have_no_sections(images, tmp_path):
    code, said = run(images, "-o", tmp_path / "out", "--sections")
    assert code and "is 2D" in said and not (tmp_path / "out" / "labels").exists()
