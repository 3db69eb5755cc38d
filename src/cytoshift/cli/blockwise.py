"""What `cytoshift segment` does with volumes that do not fit: block by block, in passes that can be continued."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from . import inputs
from .console import report_on, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ..data.volumes import ImageSource, Volume
    from ..model import Segmenter
    from ..predict.blockwise.audit import Audit
    from ..predict.blockwise.engine import Engine
    from ..predict.blockwise.plan import BlockOptions, PassName
    from ..predict.blockwise.tables import FoundStatistics
    from ..predict.outputs import Outputs
    from ..predict.pipeline import Options

FAILED = 3  # exit code: the labels are there, but faces of blocks have left a trace


@dataclass(frozen=True)
class Blockwise:
    """The words of the command line that are about blocks."""

    block: str | None
    halo: str | None
    memory: str | None
    workers: int
    scheduler: str | None
    only: str | None
    keep: bool
    ngff: str
    tissue: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether somebody wants the work to be shared."""
        return bool(self.scheduler) or self.workers > 1

    def is_requested(self, images: int, out: Path) -> bool:
        """Whether somebody wants blocks, whatever the size of the images: a single one is shared in blocks, where they
        can be written, and several are shared image by image."""
        single = self.is_shared and images == 1 and not str(out).lower().endswith((".tif", ".tiff"))
        return bool(self.block or self.halo or self.memory or self.only or self.tissue) or single

    @property
    def is_remote(self) -> bool:
        """Whether workers may be on other machines, with another current folder."""
        return self.scheduler not in (None, "serial", "threads")

    def wishes(self) -> "BlockOptions":
        from ..core.settings import parse
        from ..predict.blockwise.plan import BlockOptions

        said = {
            "block": inputs.whole_numbers(self.block, "--block", "256,256,256"),
            "halo": inputs.whole_numbers(self.halo, "--halo", "32,32,32"),
            "memory": None if self.memory is None else inputs.parse_amount(self.memory),
        }  # fmt: skip
        more = {"ngff": self.ngff, "tissue": self.tissue}
        return parse(BlockOptions, {k: v for k, v in said.items() if v is not None} | more, "segment")

    def one_pass(self) -> "PassName | None":
        from ..predict.blockwise.plan import PASSES

        found = next((name for name in PASSES[:-1] if name == self.only), None)
        if self.only is not None and found is None:
            raise UserError(f"pass '{self.only}' is not known; --only takes {', '.join(PASSES[:-1])}")
        return found


def first_too_large(segmenter: "Segmenter", volumes: "list[Volume]", workers: int = 1) -> "Volume | None":
    """The first image that is too large to be segmented in one piece on this machine by so many workers at once."""
    from ..predict.blockwise.plan import fits_in_memory
    from ..predict.calibration import working_voxels

    for volume in volumes:
        if not fits_in_memory(
            segmenter, working_voxels(segmenter, volume), volume.dtype.itemsize * volume.channels, workers
        ):
            return volume
    return None


def refuse_options(outputs: "Outputs") -> None:
    """Refuse options that are only possible for whole images."""
    if outputs.raw is not None:
        raise UserError("raw predictions need the whole image in one piece; leave out --raw, or the options for blocks")
    if outputs.pairs:
        raise UserError(
            "objects that belong together are found in whole images only; cut the image into parts that fit into "
            "memory, or use a model of one class"
        )
    if outputs.single and len(outputs.volumes) > 1:
        raise UserError(f"{len(outputs.volumes)} frames that are segmented by blocks need a folder; pass one to `out`")
    if outputs.single and outputs.file.suffix.lower() != ".zarr":
        raise UserError(
            f"blocks are written into OME-Zarr, not into {outputs.out}; choose an -o that ends in .ome.zarr"
        )


def run(
    segmenter: "Segmenter", outputs: "Outputs", options: "Options", how: Blockwise, each: "Engine",
    source: "ImageSource", quiet: bool,
) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
    """Segment one image after the other, also the frames of a series. Returns the last lines for a person, and the
    result as names and values; "audit" says whether objects are cut at faces of blocks.
    """
    from ..core.json_files import read_json
    from ..predict.account import Account
    from ..predict.also import write_also
    from ..predict.blockwise import clear_job
    from ..predict.blockwise.tables import join_tables
    from ..predict.calibration import mismatch_of_objects
    from .results import describe_others, picture

    wishes, only, started = how.wishes(), how.one_pass(), time.perf_counter()
    source = source.model_copy(update={"paths": make_absolute(source.paths)})
    account = Account(outputs, segmenter, options)
    lines, failed, factor = [], False, 1.0
    for volume in outputs.volumes:
        if outputs.is_finished(volume):
            if not how.keep:
                clear_job(outputs.work(volume))
            failed = failed or read_json(outputs.seams(volume)).get("verdict") == "failed"
            continue
        began = time.perf_counter()
        done = segment_one(segmenter, outputs, volume, options, wishes, only, (each, how.keep), source, quiet)
        if done is None:
            continue
        account.images({volume: {"blocks": time.perf_counter() - began}})
        for found, audit in zip(*done):
            if odd := mismatch_of_objects(segmenter.card, found.name, found.diameter, volume.voxel.unit):
                say(f"warning: {volume.name}: {odd.message}", err=True)
                factor = max(factor, odd.factor)
            name = f"{volume.name}{f', {found.name}' * bool(found.name)}"
            lines += [f"{name}: {found.words(volume.voxel.unit)}", audit.sentence()]
            failed = failed or not audit.passed
    work = outputs.work(outputs.volumes[0]).parent
    if only not in (None, "write"):
        return [f"{only} is finished, in {work}"], {"only": only, "work": work}
    outputs.join_frames()
    if not outputs.single:
        join_tables([outputs.part(volume) for volume in outputs.volumes], outputs.table)
    picture(outputs)
    account.end(time.perf_counter() - started)
    page, seconds = report_on(outputs), time.perf_counter() - started
    lines.append(f"{seconds:.1f} s, {sum(map(count, outputs.volumes)) / 1e6 / seconds:.3g} Mvoxel/s")
    others = write_also(outputs)
    also = describe_others(outputs, others)
    lines.append(f"labels in {outputs.out}, objects in {outputs.table}, picture {outputs.picture}, report {page}{also}")
    return lines, {
        "images": len(outputs.volumes), "labels": outputs.out, "table": outputs.table, "picture": outputs.picture,
        "report": page, "audit": "failed" if failed else "passed", "size_factor": factor, "also": others,
        "seconds": seconds,
    }  # fmt: skip


def segment_one(
    segmenter: "Segmenter", outputs: "Outputs", volume: "Volume", options: "Options", wishes: "BlockOptions",
    only: "PassName | None", engine: "tuple[Engine, bool]", source: "ImageSource", quiet: bool,
) -> "tuple[list[FoundStatistics], list[Audit]] | None":  # fmt: skip
    """One image; None where only some early pass was asked for."""
    from ..predict.blockwise import audit_classes, finish, segment_blockwise
    from ..predict.blockwise.tables import write_objects, write_seams

    paths = {name: outputs.written_labels(volume, name) for name in outputs.classes}
    with BlockwiseLog(volume.name, quiet) as log:
        job = segment_blockwise(
            segmenter, volume, paths, outputs.work(volume), engine[0], wishes, options, source, only,
            (log.say, log.tell),
        )  # fmt: skip
        if only not in (None, "write"):
            return None
        audits = audit_classes(job)
        found = write_objects(outputs.part(volume), job)
        write_seams(outputs.seams(volume), job, audits, found)
        for warning in filter(None, (one.warning(job.plan.halo) for one in found)):
            log.say(warning)
        finish(job, *engine, mark=outputs.claims.mark)
    return found, audits


def make_absolute(paths: str | list[str]) -> str | list[str]:
    """As workers elsewhere find them; what stands behind '::' names something inside of a file."""
    if isinstance(paths, list):
        return [str(Path(path).absolute()) for path in paths]
    return str(Path(paths).absolute())


def with_absolute_paths(volumes: "Sequence[Volume]", source: "ImageSource") -> "list[Volume]":
    """The same images, as workers elsewhere find them."""
    from dataclasses import replace

    from ..data.volumes import open_volumes

    there = open_volumes(source.model_copy(update={"paths": make_absolute(source.paths)}))
    return [replace(far, name=near.name, origin=near.origin) for near, far in zip(volumes, there)]


def count(volume: "Volume") -> int:
    out = 1
    for n in volume.shape:
        out *= n
    return out


class BlockwiseLog:
    """Sentences, and the progress of each pass where somebody watches; with `quiet` the warnings alone."""

    def __init__(self, name: str, quiet: bool) -> None:
        from ..core.progress import Progress

        self.quiet, self.name, self.stage = quiet, name, ""
        self.progress = Progress(name, 1, "block", quiet)

    def say(self, sentence: str) -> None:
        if not self.quiet or sentence.startswith("warning"):
            say(f"{self.name}: {sentence}", err=True)

    def tell(self, name: "PassName", done: int, total: int) -> None:
        from ..predict.blockwise.plan import pass_title

        if name != self.stage:
            self.stage = name
            self.progress.begin(f"{self.name} {pass_title(name)}", total, done)
        self.progress.update(done)

    def __enter__(self) -> "BlockwiseLog":
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.progress.__exit__(kind, error, trace)
