"""What breaks under the passes: disks that are full, limited or read-only, chunks that are cut short.

One sentence each, nothing is lost, and the same command ends in the bytes of a run that nobody has disturbed.
"""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import zarr.storage._local as local

import stitching
from cytoshift.core import atomic
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data import store
from cytoshift.data.store import ImageStore
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.predict.blockwise import audit_classes, finish, segment_blockwise
from cytoshift.predict.blockwise.engine import Serial
from cytoshift.predict.blockwise.plan import PASSES, BlockOptions
from cytoshift.predict.pipeline import Options
from predicting import nuclei, segmenter
from stitching import PLAIN, crowd, encoded, image_of, stand_in

WISHES = BlockOptions(block=(31, 42), halo=(14, 14))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Full:
    """A disk on which so many more files find room."""

    def __init__(self, patch, code: int, room: int):
        self.code, self.room = code, room
        put, swap = local._put, atomic.swap
        patch.setattr(local, "_put", lambda *words, **more: self.takes() or put(*words, **more))
        for module in (atomic, store):
            patch.setattr(module, "swap", lambda *words: self.takes() or swap(*words))

    def takes(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS], ids=["full", "quota", "read-only"])
def test_a_disk_that_ends_at_any_file_loses_nothing(tmp_path, monkeypatch, code):
    labels = crowd((61, 83), 5)
    made, volume = stitching.models()[2, "bcd"], image_of(labels)
    stand_in(monkeypatch, encoded(made, labels, volume)[0])
    call = lambda folder: segment_blockwise(
        made, volume, {"": folder / "out.ome.zarr"}, folder / "work", Serial(), WISHES, PLAIN
    )
    finish(call(tmp_path / "whole"), Serial())
    folder, failures = tmp_path / "parts", 0
    while not (folder / "out.ome.zarr").exists():
        with pytest.MonkeyPatch.context() as patch:
            Full(patch, code, 6 + failures)  # a plan alone takes four files, so that each call gets a little further
            try:
                finish(call(folder), Serial())
            except UserError as error:
                failures += 1
                assert os.strerror(code) in str(error) and "choose another output" in str(error)
                assert "\n" not in str(error) and not (folder / "out.ome.zarr").exists()
    assert failures >= 4
    assert files(folder / "out.ome.zarr") == files(tmp_path / "whole" / "out.ome.zarr")
    assert not (folder / "work").exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES], ids=["read-only", "not allowed"])
def test_an_output_that_cannot_be_written_is_said_before_any_work(tmp_path, monkeypatch, code):
    made, volume = segmenter(2), image_of(crowd((40, 40), 1))

    def refused(path, *_, **__):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(UserError, match=rf"cannot write .*work: {os.strerror(code)}; choose another output with `out`"):
        segment_blockwise(made, volume, {"": tmp_path / "o.ome.zarr"}, tmp_path / "work", Serial(), WISHES, PLAIN)
    assert list(tmp_path.iterdir()) == []


def test_a_chunk_of_the_image_that_is_cut_short_is_named_and_the_rest_kept(tmp_path):
    image = nuclei((120, 150), 60, 2)[0]
    kept = ImageStore.create(tmp_path / "a.ome.zarr", image.shape, "uint16", Voxel((1.0, 1.0)), "yx", chunks=(40, 50))
    for region in kept.regions():
        kept[region] = image[region]
    kept.finish()
    source = ImageSource(paths=str(tmp_path / "a.ome.zarr"), voxel=(1.0, 1.0), unit="px")
    made, options = segmenter(2), Options(precision="32", tile=(48, 48))
    wishes = BlockOptions(block=(40, 50), halo=(8, 8))

    def call(folder, **rest):
        (volume,) = open_volumes(source)
        outputs = {"": folder / "out.ome.zarr"}
        return segment_blockwise(made, volume, outputs, folder / "work", Serial(), wishes, options, source, **rest)

    finish(call(tmp_path / "whole"), Serial())
    chunk = tmp_path / "a.ome.zarr" / "0" / "c" / "2" / "2"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a\.ome\.zarr cannot be read \(.*\); it is damaged or cut short") as caught:
        call(tmp_path / "parts")
    assert "\n" not in str(caught.value)
    chunk.write_bytes(whole)
    finish(call(tmp_path / "parts"), Serial())
    assert files(tmp_path / "parts" / "out.ome.zarr") == files(tmp_path / "whole" / "out.ome.zarr")
    assert open_labels(tmp_path / "parts" / "out.ome.zarr")[0].load().max() > 0


@pytest.mark.parametrize(
    "kind, last", [("objects", "link"), ("links", "link"), ("merged", "merge"), ("labels", "merge"), ("seams", "write")]
)
def test_what_later_passes_need_is_made_again_where_it_is_damaged(tmp_path, monkeypatch, kind, last):
    labels = crowd((61, 83), 5)
    made, volume = stitching.models()[2, "bcd"], image_of(labels)
    stand_in(monkeypatch, encoded(made, labels, volume)[0])
    call = lambda folder, **rest: segment_blockwise(
        made, volume, {"": folder / "out.ome.zarr"}, folder / "work", Serial(), WISHES, PLAIN, **rest
    )
    finish(call(tmp_path / "whole"), Serial())
    folder = tmp_path / "parts"
    for name in PASSES[: PASSES.index(last) + 1]:
        call(folder, only=name)
    path = sorted(p for p in (folder / "work" / kind).rglob("*") if p.is_file() and p.suffix in (".npy", ""))[-1]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match="the same command") as caught:
        audit_classes(call(folder))
    assert "\n" not in str(caught.value)
    job = call(folder)
    assert audit_classes(job)[0].passed
    finish(job, Serial())
    assert files(folder / "out.ome.zarr") == files(tmp_path / "whole" / "out.ome.zarr")


def test_images_that_are_swapped_and_models_that_are_trained_on_start_afresh(tmp_path):
    said: list[str] = []

    def call(made, image):
        said.clear()
        segment_blockwise(made, image_of(image), {"": tmp_path / "o.ome.zarr"}, tmp_path / "work", Serial(), WISHES,
                          PLAIN, report=(said.append, lambda *_: None), only="predict")  # fmt: skip
        return " ".join(said)

    first, other = crowd((61, 83), 5), crowd((61, 83), 6)
    made = segmenter(2)
    assert "finished before" not in call(made, first)
    assert "(1) predict: 1 of 1 were finished before" in call(made, first)
    words = call(made, other)
    assert "settings have changed (content was" in words and "finished before" not in words
    trained = segmenter(2)
    next(trained.network.parameters()).data += 0.01
    words = call(trained, other)
    assert "settings have changed (model was" in words and "finished before" not in words
    assert np.isfinite(other).all()
