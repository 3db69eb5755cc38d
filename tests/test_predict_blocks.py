"""Blockwise is whole: phantom labels come out of their channels as they do in one piece, whatever the blocks are."""

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume, open_labels
from cytoshift.labels.overlap import overlap
from cytoshift.predict import passes
from cytoshift.predict.blockwise import audited, finish, locked, segment_blockwise
from cytoshift.predict.engine import Serial, Threads
from cytoshift.predict.link import RULES
from cytoshift.predict.plan import Wishes
from cytoshift.predict.run import Options, decoded
from cytoshift.represent import BCD, Semantic
from cytoshift.represent.bcd import eight_bits
from predicting import segmenter

PLAIN = Options(precision="32", min_size=0.0)
RADIUS = (2.0, 4.0)


def crowd(shape: tuple[int, ...], seed: int, gap: float = 0.6) -> np.ndarray:
    """Labels (*S) int32 of balls that touch or nearly so: each voxel belongs to the nearest centre within reach."""
    rng = np.random.default_rng(seed)
    spacing = 2 * RADIUS[1] * gap
    grid = np.stack(np.meshgrid(*(np.arange(spacing / 2, n + spacing / 2, spacing) for n in shape), indexing="ij"), -1)
    centres = grid.reshape(-1, len(shape)) + rng.uniform(-1, 1, (grid.size // len(shape), len(shape)))
    radii = rng.uniform(*RADIUS, len(centres))
    out, best = np.zeros(shape, np.int32), np.full(shape, np.inf)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    for number, (centre, radius) in enumerate(zip(centres, radii), 1):
        box = tuple(slice(max(int(c - radius), 0), int(c + radius) + 2) for c in centre)
        far = ((places[box] - centre) ** 2).sum(-1)
        nearer = (far <= radius**2) & (far < best[box])
        out[box][nearer], best[box][nearer] = number, far[nearer]
    return out


def image_of(labels: np.ndarray) -> Volume:
    rng = np.random.default_rng(0)
    noisy = (labels > 0) * 1000 + rng.integers(0, 99, labels.shape)
    return Volume("cells", noisy.astype(np.uint16), "zyx"[-labels.ndim :], Voxel((1.0,) * labels.ndim), "made up")


def stand_in(monkeypatch, eight: np.ndarray):
    """The channels of a perfect network in the place of pass 1."""

    def predict(job, number):
        region = (slice(None), *job.grid[number].write)
        job.channels[region] = eight[region]

    monkeypatch.setitem(passes.WORK, "predict", predict)


def blocks_of(made, volume, folder: Path, wishes: Wishes, options=PLAIN, engine=None, **rest):
    """Labels, verdict and what was said."""
    shutil.rmtree(folder, ignore_errors=True)
    engine, said = engine or Serial(), []
    job = segment_blockwise(made, volume, {"": folder / "out.ome.zarr"}, folder / "work", engine, wishes, options,
                            report=(said.append, lambda *_: None), **rest)  # fmt: skip
    (audit,) = audited(job)
    (path,) = finish(job, engine)
    return open_labels(path)[0].load(), audit, said


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Voxel by voxel the same objects, whatever their ids."""
    table = overlap(one, other)
    return len(table.truth) == len(np.unique(one)) == len(np.unique(other))


@pytest.fixture(scope="module")
def models():
    return {
        (ndim, kind): segmenter(ndim, representation=represent)
        for ndim in (2, 3)
        for kind, represent in (("bcd", BCD(voxels=4, seed_voxels=1, seed_foreground=0.7, seed_contour=0.6)),
                                ("components", Semantic(split="components")), ("distance", Semantic()))
    }  # fmt: skip


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_blocks_of_any_size_give_the_objects_of_one_piece(models, tmp_path, data):
    """The oracle: nothing lost, split or merged where the halo is an object and the decoder's reach, for any shape."""
    ndim = data.draw(st.sampled_from([2, 3]))
    kind = data.draw(st.sampled_from(["bcd", "bcd", "components", "distance"]))
    longest = 70 if ndim == 2 else 34
    shape = tuple(data.draw(st.integers(5, longest)) for _ in range(ndim))
    block = tuple(data.draw(st.integers(9, longest)) for _ in range(ndim))
    halo = tuple(data.draw(st.integers(14, 20)) for _ in range(ndim))
    labels = crowd(shape, data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0.6, 1.1])))
    made, volume = models[ndim, kind], image_of(labels)
    represent = made.representation
    lows = (0, 0, -1)[: len(represent.channels)]
    eight = np.stack(eight_bits(represent.encode(labels, volume.voxel), lows))
    whole = decoded(represent, passes.channels_for(represent, eight, lows), volume.voxel, PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, eight)
        found, audit, _ = blocks_of(made, volume, tmp_path / "job", Wishes(block=block, halo=halo))
    assert found.max() == len(np.unique(found)) - 1, "ids are dense"
    assert same_objects(whole, found) and audit.passed


@pytest.fixture
def phantom(models, monkeypatch):
    """A model, an image of 2D nuclei, their channels in the place of pass 1, and one-shot labels."""
    labels = crowd((61, 83), 5)
    made, volume = models[2, "bcd"], image_of(labels)
    eight = np.stack(eight_bits(made.representation.encode(labels, volume.voxel), (0, 0, -1)))
    stand_in(monkeypatch, eight)
    return made, volume, decoded(made.representation, eight, volume.voxel, PLAIN)


WISHES = Wishes(block=(31, 42), halo=(14, 14))


def test_an_object_larger_than_blocks_and_one_with_a_hole_come_out_whole(models, tmp_path, monkeypatch):
    labels = np.zeros((60, 90), np.int32)
    labels[20:27, 3:85] = 1
    labels[40:50, 10:30] = 2
    made, volume = models[2, "components"], image_of(labels)
    eight = np.rint(255 * made.representation.encode(labels, volume.voxel)).astype(np.uint8)
    eight[0, 44:46, 18:22] = 0  # a hole, across the face of two blocks
    stand_in(monkeypatch, eight)
    found, _, _ = blocks_of(made, volume, tmp_path / "job", WISHES)
    assert same_objects(found, labels) and found.max() == 2
    small = blocks_of(made, volume, tmp_path / "job", WISHES, PLAIN.model_copy(update={"min_size": 300.0}))[0]
    assert same_objects(small, labels * (labels == 1)), "sizes are those of whole objects: 574 and 200"


@pytest.mark.parametrize("order", ["forth", "back", "threads"])
def test_labels_do_not_depend_on_the_order_of_blocks(phantom, tmp_path, order):
    class Backwards(Serial):
        def __call__(self, work, numbers):
            return super().__call__(work, numbers[::-1])

    made, volume, whole = phantom
    engine = {"forth": Serial(), "back": Backwards(), "threads": Threads(3)}[order]
    found, audit, _ = blocks_of(made, volume, tmp_path / order, WISHES, engine=engine)
    assert same_objects(found, whole) and audit.passed
    first, _, _ = blocks_of(made, volume, tmp_path / "first", WISHES)
    np.testing.assert_array_equal(found, first)


def test_stopped_after_any_block_it_goes_on_to_the_same_bytes(phantom, tmp_path):
    class Stops(Serial):
        """As a kill would: after some blocks, nothing is noted of the next one."""

        def __init__(self, after):
            self.after = after

        def __call__(self, work, numbers):
            for number in numbers:
                work(number)
                self.after -= 1
                if self.after < 0:
                    raise KeyboardInterrupt
                yield number

    made, volume, whole = phantom
    _, _, said = blocks_of(made, volume, tmp_path / "whole", WISHES)
    assert not any("before" in line for line in said)
    folder = tmp_path / "parts"
    stops = 0
    for after in (2, 3, 3, 5, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            segment_blockwise(made, volume, {"": folder / "out.ome.zarr"}, folder / "work", Stops(after), WISHES, PLAIN)
        stops += 1
    said = []
    job = segment_blockwise(made, volume, {"": folder / "out.ome.zarr"}, folder / "work", Serial(), WISHES, PLAIN,
                            report=(said.append, lambda *_: None))  # fmt: skip
    assert any("(2) decode: 4 of 4 were finished before" in line for line in said)
    assert stops == 6 and finish(job, Serial()) == [folder / "out.ome.zarr"] and not (folder / "work").exists()
    for path in sorted((tmp_path / "whole" / "out.ome.zarr").rglob("*")):
        other = folder / "out.ome.zarr" / path.relative_to(tmp_path / "whole" / "out.ome.zarr")
        assert path.is_dir() or path.read_bytes() == other.read_bytes(), path
    assert same_objects(open_labels(folder / "out.ome.zarr")[0].load(), whole)


def test_changed_settings_start_afresh_from_the_pass_that_they_decide(phantom, tmp_path):
    made, volume, _ = phantom
    outputs, work = {"": tmp_path / "out.ome.zarr"}, tmp_path / "work"

    def again(options, wishes=WISHES):
        said = []
        segment_blockwise(made, volume, outputs, work, Serial(), wishes, options,
                          report=(said.append, lambda *_: None))  # fmt: skip
        return " ".join(said)

    again(PLAIN)
    assert "changed" not in again(PLAIN)
    said = again(PLAIN.model_copy(update={"min_size": 30.0}))
    assert "settings have changed (min_size was 0.0, now 30.0)" in said
    assert "(3) link: 4 of 4 were finished before" in said and "(4) merge: 1 of 1" not in said
    said = again(PLAIN.model_copy(update={"threshold": 0.8}))
    assert "(1) predict: 4 of 4 were finished before" in said and "(2) decode: 4 of 4" not in said
    said = again(PLAIN, Wishes(block=(30, 42), halo=(14, 14)))
    assert "block was [31, 42], now [30, 42]" in said and "finished before" not in said


@pytest.mark.parametrize("what", ["corrupt", "lost"])
def test_damage_between_passes_is_found_and_mended_by_the_same_command(phantom, tmp_path, what):
    made, volume, whole = phantom
    outputs, work = {"": tmp_path / "out.ome.zarr"}, tmp_path / "work"
    call = (made, volume, outputs, work, Serial(), WISHES, PLAIN)
    segment_blockwise(*call, only="predict")
    (chunk, *_) = [path for path in sorted((work / "channels" / "c").rglob("*")) if path.is_file()]
    if what == "lost":
        chunk.unlink()
    else:
        chunk.write_bytes(chunk.read_bytes()[:-9] + b"123456789")
        with pytest.raises(UserError, match=r"damaged \(1 of \(1\) predict\); the same command makes them again"):
            segment_blockwise(*call)
    (path,) = finish(segment_blockwise(*call), Serial())
    assert same_objects(open_labels(path)[0].load(), whole)


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(phantom, tmp_path, monkeypatch):
    made, volume, whole = phantom
    call = (made, volume, {"": tmp_path / "out.ome.zarr"}, tmp_path / "work", Serial(), WISHES, PLAIN)
    link = passes.WORK["link"]

    def full(job, number):
        if number == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(job.folder))
        link(job, number)

    monkeypatch.setitem(passes.WORK, "link", full)
    with pytest.raises(OSError, match="No space left"):
        segment_blockwise(*call)
    monkeypatch.setitem(passes.WORK, "link", link)
    said = []
    job = segment_blockwise(*call, report=(said.append, lambda *_: None))
    assert any("(3) link: 2 of 4 were finished before" in line for line in said)
    assert same_objects(open_labels(finish(job, Serial())[0])[0].load(), whole)


def test_two_commands_do_not_work_in_one_folder(phantom, tmp_path):
    made, volume, _ = phantom
    call = (made, volume, {"": tmp_path / "out.ome.zarr"}, tmp_path / "work", Serial(), WISHES, PLAIN)
    with locked(tmp_path / "work"), pytest.raises(UserError, match="another command works in"):
        segment_blockwise(*call)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file"):
        segment_blockwise(*call[:3], tmp_path / "file" / "work", *call[4:])


def test_passes_one_by_one_and_out_of_turn(phantom, tmp_path):
    made, volume, _ = phantom
    call = (made, volume, {"": tmp_path / "out.ome.zarr"}, tmp_path / "work", Serial(), WISHES, PLAIN)
    with pytest.raises(UserError, match=r"\(3\) link asked for, \(1\) predict is finished for 0 of 4 blocks; run --o"):
        segment_blockwise(*call, only="link")
    for name in ("predict", "decode", "link", "merge", "write"):
        job = segment_blockwise(*call, only=name)
    assert audited(job)[0].passed and finish(job, Serial(), keep=True)[0].exists() and job.folder.exists()


@pytest.mark.parametrize("wrong", ["cut", "merged"])
def test_the_audit_sees_what_faces_cut_or_merge(models, tmp_path, monkeypatch, wrong):
    labels = crowd((240, 240), 8, 1.05)
    made, volume = models[2, "bcd"], image_of(labels)
    stand_in(monkeypatch, np.stack(eight_bits(made.representation.encode(labels, volume.voxel), (0, 0, -1))))
    wishes = Wishes(block=(80, 80), halo=(14, 14))
    _, fine, _ = blocks_of(made, volume, tmp_path / "fine", wishes)
    assert fine.passed and fine.faces["sections"] > 50 < fine.between["sections"]

    def neighbours(a, b):
        """Every object and the one whose label is next."""
        found = RULES["contact"](a, b)
        return np.concatenate([found, np.stack([found[:-1, 0], found[1:, 1]], 1)])

    monkeypatch.setitem(RULES, "best", (lambda a, b: np.empty((0, 2), int)) if wrong == "cut" else neighbours)
    _, audit, _ = blocks_of(made, volume, tmp_path / "wrong", wishes)
    assert not audit.passed and f"objects {wrong}" in audit.seams and "FAILED" in audit.sentence()
