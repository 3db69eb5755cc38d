"""Stacks that are labelled section by section: each section is an image of its own, and objects are joined after it.

    ensemble = open_sections(out, volumes, model, wishes, overwrite)    every section as an image, in OUT/sections
    found = ensemble.run(engine)                                        in stages, as for any images in 2D
    labelled = write_stacks(ensemble, found, volumes, out, also)        objects of the stacks, in OUT/labels

A network in 3D needs to see objects whole. Where a stack is no deeper than they are, outlines in 2D say more.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import refuse_other_contents
from ..core.errors import UserError
from ..core.voxel import Voxel
from ..data.generated_folder import claim_folder
from ..data.volumes import ImageSource, Volume, open_volumes
from ..data.write import write_image
from ..labels.objects import measure_objects
from ..labels.stitching import stitch_sections
from ..model import Segmenter
from ..predict.account import Account
from ..predict.outputs import Outputs, Table, whole_files
from ..predict.pipeline import Instances, Options, Prediction
from ..predict.voting import WHOLE_VOXELS
from .ensemble import JSON, Ensemble, StageResult, Wishes, open_ensemble

SHALLOW = 1.5  # diameters of an object: in a stack that is no deeper, hardly an object is seen whole
SECTIONS = "sections"  # in OUT: the sections as images, and what is found in them


class StackLabels(NamedTuple):
    """Labels of stacks. f1: what is expected of each, by name: the mean of its sections."""

    outputs: Outputs
    table: Table
    f1: dict[str, float]


def open_sections(out: Path, volumes: Sequence[Volume], model: str, wishes: Wishes, overwrite: bool) -> Ensemble:
    """An ensemble of the sections of stacks.

    Raises UserError for what is no stack, for sections that are too large, and where files of somebody else, or results
    of another kind of call, lie where results go.
    """
    for volume in volumes:
        if len(volume.axes) != 3:
            raise UserError(
                f"`sections` asked for, but {volume.name} is 2D ('{volume.axes}'); leave it out, or pass `axes` zyx "
                "where its files are the sections of a stack"
            )
        if volume.channels > 1:
            raise UserError(
                f"{volume.name} has {volume.channels} channels, and objects are shown by one; pass its number"
            )
        if prod(volume.shape[1:]) > WHOLE_VOXELS:
            raise UserError(
                f"a section of {volume.name} has {prod(volume.shape[1:])} pixels, more than are labelled in several "
                f"ways in one piece ({WHOLE_VOXELS}); pass a smaller part of it, or leave `sections` out"
            )
    if wishes.given:
        raise UserError("labels of stacks cannot vote on their sections; leave `voters` out, or leave `sections` out")
    if (out / JSON).exists() and not overwrite:
        raise UserError(
            f"{out} holds results of a call without `sections`; pass `overwrite` to replace them or another `out`"
        )
    refuse_other_contents(out / SECTIONS, ("images/cytoshift.json",))
    refuse_other_contents(out / "labels", ("report/request.json",))
    images = ImageSource(paths=[str(path) for path in write_sections(volumes, out / SECTIONS / "images", overwrite)])
    return open_ensemble(out / SECTIONS, open_volumes(images), images, model, replace(wishes, also=()))


def is_shallow(volume: Volume, diameter: float) -> bool:
    """Whether a stack is so flat that objects of this diameter, in its unit, are hardly seen whole."""
    return len(volume.axes) == 3 and volume.shape[0] * volume.voxel.size[0] <= SHALLOW * diameter


def section_name(volume: Volume, z: int) -> str:
    """Name of one section. Names of all sections of a stack are in their order when they are sorted.

    >>> section_name(Volume("a", np.zeros((12, 4, 4)), "zyx", Voxel((1.0, 1.0, 1.0)), "an array"), 7)
    'a_z07'
    """
    return f"{volume.name}_z{z:0{len(str(volume.shape[0] - 1))}d}"


def write_sections(volumes: Sequence[Volume], folder: Path, overwrite: bool) -> list[Path]:
    """Every section of every stack as a file of its own.

    Raises UserError where sections of other images, or other files, are there.
    """
    paths = [folder / f"{section_name(one, z)}.tif" for one in volumes for z in range(one.shape[0])]
    folder.mkdir(parents=True, exist_ok=True)
    claim_folder(folder, {"verb": "run", "images": {one.name: one.origin for one in volumes}}, paths, overwrite)
    for volume in volumes:
        voxel = Voxel(volume.voxel.size[1:], volume.voxel.unit)
        for z in range(volume.shape[0]):
            section = np.asarray(volume.array[z : z + 1])[0]
            write_image(folder / f"{section_name(volume, z)}.tif", section, voxel, "yx")
    return paths


def write_stacks(
    ensemble: Ensemble, found: StageResult, volumes: Sequence[Volume], out: Path, also: Sequence[str] = ()
) -> StackLabels:
    """Join the labels of sections to objects of their stacks, and write these to OUT/labels with what a report reads.

    The confidence of an object is the mean over its sections, each weighed by the pixels that it has there.
    """
    asked = ensemble.decided.request.model_dump(mode="json")
    request = {"sections": asked, "stage": found.stage, "voters": found.voters}
    outputs = Outputs(out / "labels", volumes, request, join=whole_files(volumes), also=also)
    outputs.claim(overwrite=True)
    named, f1 = {one.name: one for one in ensemble.volumes}, dict[str, float]()
    for volume in volumes:
        names = [section_name(volume, z) for z in range(volume.shape[0])]
        f1[volume.name] = fmean(found.f1[name] for name in names)
        if outputs.is_finished(volume):
            continue
        flat = [found.outputs.open(named[name]).load().astype(np.int32) for name in names]
        labels = np.stack(list(stitch_sections(flat)))
        confidence = [by_id(found.table.of(name), one) for name, one in zip(names, flat)]
        objects = measure_objects(labels, volume.voxel, volume.load())
        sure = mean_over_sections(labels, flat, confidence)
        outputs.write(volume, Prediction({"": Instances(labels, objects, sure)}, {}, {}))
    outputs.join_frames()
    table = outputs.join()
    outputs.complete()
    return StackLabels(outputs, table, f1)


def write_account(ensemble: Ensemble, found: StageResult, outputs: Outputs) -> None:
    """What the report of the labels of stacks reads."""
    account = Account(outputs, Segmenter.load(ensemble.out / "model"), Options())
    account.images({})
    account.end(found.seconds)


def by_id(table: Table, labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Confidence of the objects of an image, index = label; of ids that are missing, and of the background, 0."""
    out = np.zeros(int(labels.max(initial=0)) + 1)
    out[table.numbers("label").astype(np.int64)] = table.numbers("confidence")
    return out


def mean_over_sections(
    labels: NDArray[np.int32], flat: Sequence[NDArray[np.int32]], confidence: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(N,) confidence of each object of a stack.

    labels (Z, Y, X), 1..N. flat: the labels (Y, X) of each section that it was joined from. confidence: of their
    objects, index = label.

    >>> labels = np.array([[[1, 1]], [[1, 2]]], np.int32)
    >>> flat, confidence = [np.array([[1, 1]]), np.array([[1, 2]])], [np.array([0, 1.0]), np.array([0, 0.25, 0.5])]
    >>> mean_over_sections(labels, flat, confidence).tolist()
    [0.75, 0.5]
    """
    count = int(labels.max(initial=0)) + 1
    total, pixels = np.zeros(count), np.zeros(count)
    for joined, section, each in zip(labels, flat, confidence):
        here = section > 0
        total += np.bincount(joined[here], each[section[here]], minlength=count)
        pixels += np.bincount(joined[here], minlength=count)
    return total[1:] / pixels[1:]
