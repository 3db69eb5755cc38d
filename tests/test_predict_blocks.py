"""Blockwise is whole: phantom labels come out of their channels as they do in one piece, whatever the blocks are."""

import errno

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import find_objects

import stitching
from cytoshift.core.errors import UserError
from cytoshift.core.lock import lock_outputs
from cytoshift.data.volumes import open_labels
from cytoshift.predict.blockwise import audit_classes, finish, passes, segment_blockwise
from cytoshift.predict.blockwise.engine import Serial, Threads
from cytoshift.predict.blockwise.link import RULES
from cytoshift.predict.blockwise.plan import CONTEXT_VOXELS, BlockOptions
from stitching import PLAIN, blocks_of, crowd, encoded, image_of, same_objects, stand_in


@pytest.fixture(scope="module")
def models():
    return stitching.models()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_blocks_of_any_size_give_the_objects_of_one_piece(models, tmp_path, data):
    """The oracle: nothing lost, split or merged where the halo is an object and the decoder's reach, for any shape."""
    ndim = data.draw(st.sampled_from([2, 3]))
    kind = data.draw(st.sampled_from(["bcd", "bcd", "components", "distance"]))
    longest = 70 if ndim == 2 else 34
    shape = tuple(data.draw(st.integers(5, longest)) for _ in range(ndim))
    block = tuple(data.draw(st.integers(9, longest)) for _ in range(ndim))
    labels = crowd(shape, data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0.6, 1.1])))
    made, volume = models[ndim, kind], image_of(labels)
    eight, whole = encoded(made, labels, volume)
    # In a crowd of small cells the decoder may see one object where many were drawn: the halo is what whole has.
    extents = [[side.stop - side.start for side in box] for box in find_objects(whole)] or [[0] * ndim]
    halo = tuple(max(14, n + CONTEXT_VOXELS) + data.draw(st.integers(0, 6)) for n in np.max(extents, axis=0).tolist())
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, eight)
        options = PLAIN.model_copy(update={"tile": data.draw(st.sampled_from([None, (24,) * ndim]))})
        found, audit, _ = blocks_of(made, volume, tmp_path / "job", BlockOptions(block=block, halo=halo), options)
    assert found.max() == len(np.unique(found)) - 1, "ids are dense"
    assert same_objects(whole, found) and audit.passed


@pytest.fixture
def phantom(models, monkeypatch):
    """A model, an image of 2D nuclei, their channels in the place of pass 1, and one-shot labels."""
    labels = crowd((61, 83), 5)
    made, volume = models[2, "bcd"], image_of(labels)
    eight, whole = encoded(made, labels, volume)
    stand_in(monkeypatch, eight)
    return made, volume, whole


WISHES = BlockOptions(block=(31, 42), halo=(14, 14))


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
                result = work(number)
                self.after -= 1
                if self.after < 0:
                    raise KeyboardInterrupt
                yield number, result

    made, volume, whole = phantom
    _, _, said = blocks_of(made, volume, tmp_path / "whole", WISHES)
    assert not any("before" in line for line in said)
    folder = tmp_path / "parts"
    stops = 0
    for after in (1, 3, 3, 4, 3, 3):
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
    assert "(1) predict: 1 of 1 were finished before" in said and "(2) decode: 4 of 4" not in said
    said = again(PLAIN, BlockOptions(block=(30, 42), halo=(14, 14)))
    assert "block was [31, 42], now [30, 42]" in said and "(2) decode: " in said and "decode: 4 of 4" not in said
    assert "(1) predict: 1 of 1 were finished before" in said, "the network's tiles are not those of blocks"
    said = again(PLAIN.model_copy(update={"precision": "bf16"}))
    assert "precision was 32, now bf16" in said and "finished before" not in said


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
    with pytest.raises(UserError, match="No space left on device; free space or choose another output"):
        segment_blockwise(*call)
    monkeypatch.setitem(passes.WORK, "link", link)
    said = []
    job = segment_blockwise(*call, report=(said.append, lambda *_: None))
    assert any("(3) link: 2 of 4 were finished before" in line for line in said)
    assert same_objects(open_labels(finish(job, Serial())[0])[0].load(), whole)


def test_two_commands_do_not_work_in_one_folder(phantom, tmp_path):
    made, volume, _ = phantom
    call = (made, volume, {"": tmp_path / "out.ome.zarr"}, tmp_path / "work", Serial(), WISHES, PLAIN)
    with lock_outputs(tmp_path / "work"), pytest.raises(UserError, match="another command works in"):
        segment_blockwise(*call)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file"):
        segment_blockwise(*call[:3], tmp_path / "file" / "work", *call[4:])


def test_passes_one_by_one_and_out_of_turn(phantom, tmp_path):
    made, volume, _ = phantom
    call = (made, volume, {"": tmp_path / "out.ome.zarr"}, tmp_path / "work", Serial(), WISHES, PLAIN)
    with pytest.raises(
        UserError, match=r"\(3\) link cannot start, \(1\) predict is finished for only 0 of 1 blocks; run `only`"
    ):
        segment_blockwise(*call, only="link")
    for name in ("predict", "decode", "link", "merge", "write"):
        job = segment_blockwise(*call, only=name)
    assert audit_classes(job)[0].passed and finish(job, Serial(), keep=True)[0].exists() and job.folder.exists()


@pytest.mark.parametrize("wrong", ["cut", "merged"])
def test_the_audit_sees_what_faces_cut_or_merge(models, tmp_path, monkeypatch, wrong):
    labels = crowd((300, 300), 8, 0.9)
    made, volume = models[2, "bcd"], image_of(labels)
    stand_in(monkeypatch, encoded(made, labels, volume)[0])
    wishes = BlockOptions(block=(60, 60), halo=(14, 14))
    _, fine, _ = blocks_of(made, volume, tmp_path / "fine", wishes)
    assert fine.passed and fine.faces["sections"] > 50 < fine.between["sections"]

    def neighbours(a, b):
        """Every object and the one whose label is next."""
        found = RULES["contact"](a, b)
        return np.concatenate([found, np.stack([found[:-1, 0], found[1:, 1]], 1)])

    monkeypatch.setitem(RULES, "best", (lambda a, b: np.empty((0, 2), int)) if wrong == "cut" else neighbours)
    _, audit, _ = blocks_of(made, volume, tmp_path / "wrong", wishes)
    assert not audit.passed and f"objects {wrong}" in audit.seams and "FAILED" in audit.sentence()
