"""A volume of any size to instances, block by block: the passes of passes.py, a ledger, and an engine that does them.

    with engine(None, workers=4) as each:
        job = segment_blockwise(segmenter, volume, outputs, work, each, ...)
        audit = audit_classes(job)
        finish(job, each)

The same call after a kill, a full disk or a lost worker goes on with the blocks that are missing and ends in the same
bytes. If something has changed that a pass depends on, this pass and those behind it start again; a message says so.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...core.atomic import discard
from ...core.blocks import BlockGrid
from ...core.errors import UserError
from ...core.json_files import read_json, write_json
from ...core.lock import lock_outputs, lock_path
from ...data.lazy import refuse_pieces
from ...data.resumable_statistics import measure_scale
from ...data.store import LabelStore
from ...data.volumes import ImageSource, Volume
from ...model import Segmenter, fingerprint
from ...model.segmenter import scale_entry
from ..calibration import expected_extent
from ..claims import differences
from ..network import STATISTICS, measure, multiple, save_statistics, tile_in_memory
from ..pipeline import Options, refuse_mismatch
from ..tiles import place_tiles
from ..working import Working
from .audit import Audit, judge_seams, sum_planes
from .engine import Engine
from .job import JOBS, DamagedFile, Job, StoredPlan, load
from .ledger import Ledger, digest, mend, missing_blocks
from .passes import damaged_as_error, numbers_of, work_of
from .plan import BASE_BYTES, PASSES, BlockOptions, PassName, make_plan, pass_title
from .tissue import find_tissue

Say = Callable[[str], None]
Tell = Callable[[PassName, int, int], None]  # pass, blocks done, blocks in all
# What decides about each pass, besides the pass before it.
DECIDES: dict[PassName, tuple[str, ...]] = {
    "predict": ("working", "tile", "overlap", "group", "scale", "options.precision", "options.mirror"),
    "decode": ("block", "halo", "reach", "options.threshold", "options.max_hole"),
    "link": (),
    "merge": ("options.min_size",),
    "write": ("chunk", "ngff", "outputs"),
    "audit": (),
}
SMALL_PIECES_BYTES = 64e6  # bytes of pieces of a file that every process has room for
SAMPLE_WINDOWS, SAMPLE_SIDE = 8, 32  # windows of an image that know it again, and their edge


def segment_blockwise(
    segmenter: Segmenter,
    volume: Volume,
    outputs: Mapping[str, Path],
    work: Path,
    engine: Engine,
    wishes: BlockOptions | None = None,
    options: Options | None = None,
    source: ImageSource | None = None,
    only: PassName | None = None,
    report: tuple[Say, Tell] = (lambda _: None, lambda *_: None),
) -> Job:
    """Run the passes that are not finished, or `only` one of them; labels lie beside their place until `finish`.

    outputs: where the labels of each class go (OME-Zarr), by name; of a single class its name is "". work: the folder
    of the job; it has to be seen by all workers, and so has the image. source: how workers of other processes open the
    image. report: is called with sentences, and with the progress of a pass.
    Raises UserError for what does not fit, is damaged, or cannot be written; what is finished stays.
    """
    wishes, options, say = wishes or BlockOptions(), options or Options(), report[0]
    refuse_mismatch(segmenter, volume, options)
    refuse_pieces(volume.array, volume.origin, max(wishes.memory - BASE_BYTES, SMALL_PIECES_BYTES))
    with lock_outputs(work):
        begin_job(work)
        job, asked, before = prepare_job(segmenter, volume, outputs, work, wishes, options, source)
        if before:
            say(f"settings have changed ({before}): passes that depend on them start again")
        for sentence in job.plan.sentences(wishes.memory, segmenter.representation.smallest_object is not None):
            say(sentence)
        if job.tissue is not None:
            empty = sum(map(job.is_empty_tile, range(len(job.cover))))
            say(f"tissue covers {job.tissue.share:.0%} of the image: {empty} of {len(job.cover)} tiles are left out")
        key = ""
        for name in PASSES:
            key = digest(
                key, {word: plan_value(job.plan, word) for word in DECIDES[name]}, *pass_inputs(job, name, asked)
            )
            ledger = Ledger(work / "ledger", name, key)
            if only in (None, name) or (only, name) == ("write", "audit"):
                try:
                    run_pass(job, name, ledger, engine, report)
                except DamagedFile as error:
                    raise UserError(mend(job, error)) from error
            elif PASSES.index(name) < PASSES.index(only) and len(ledger.done) < len(numbers_of(name, job)):
                raise UserError(
                    f"{pass_title(only)} cannot start, {pass_title(name)} is finished for only {len(ledger.done)} of "
                    f"{len(numbers_of(name, job))} blocks; run `only` {name} first, or leave `only` out"
                )
            if name == only != "write":
                break
    return job


def begin_job(work: Path) -> None:
    """Make the folder of the job, which says before any work whether it can be written."""
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {work}: {error.strerror}; choose another output with `out`") from error


def prepare_job(
    segmenter: Segmenter, volume: Volume, outputs: Mapping[str, Path], work: Path, wishes: BlockOptions,
    options: Options, source: ImageSource | None,
) -> tuple[Job, dict[str, Any], str]:  # fmt: skip
    """The job, with the stored plan if it is of the same request; the request; and what has changed if it is another.

    All measurements on the volume are made here, once.
    """
    segmenter = segmenter.for_image(volume.name)
    segmenter.save(work / "model")
    places = [str(Path(path).absolute()) for path in outputs.values()]
    asked = json.loads(json.dumps({
        "model": fingerprint(work / "model"), "image": image_fingerprint(volume, source), "outputs": places,
        "options": options.model_dump(mode="json"), "blocks": wishes.model_dump(mode="json"),
    }))  # fmt: skip
    there = read_json(work / "asked.json")
    device = next(segmenter.network.parameters()).device
    if there != asked or not all((work / name).is_file() for name in ("plan.json", STATISTICS)):
        discard(work / "asked.json")
        scale = segmenter.scale or measure_scale(segmenter.normalisation, volume, work / "intensities")
        step = multiple(segmenter)
        working = Working(volume, scale, segmenter.voxel, step)
        tile = tile_in_memory(segmenter, working.shape[1:], options, wishes.memory - BASE_BYTES)
        save_statistics(measure(segmenter, working, tile, options.precision), work / STATISTICS)
        shape = tuple(int(n) for n in volume.shape)
        objects, _ = expected_extent(segmenter, volume.voxel)
        bytes_each = segmenter.representation.decode_bytes
        plan = make_plan(shape, objects, bytes_each, wishes, options, (working.shape[1:], step, tile))
        tissue = find_tissue(volume, source, segmenter.normalisation, objects) if wishes.tissue else None
        if tissue is not None:
            tissue.save(work)
        stored = StoredPlan(
            **plan.model_dump(), options=options, scale=scale_entry(scale), source=source, name=volume.name,
            device=str(device), outputs=tuple(places), ngff=wishes.ngff,
            tissue=None if tissue is None else digest(tissue.mask.tobytes()),
        )  # fmt: skip
        write_json(work / "plan.json", stored.model_dump(mode="json"))
        write_json(work / "asked.json", asked)
    plan = StoredPlan.model_validate_json((work / "plan.json").read_text())
    job = Job(work, digest(plan.model_dump(mode="json"), asked), plan, segmenter, volume)
    JOBS[str(work)] = job
    changed = differences(there, asked) if there and there != asked else []
    return job, asked, "; ".join(changed)


def run_pass(job: Job, name: PassName, ledger: Ledger, engine: Engine, report: tuple[Say, Tell]) -> None:
    """What is missing of one pass."""
    say, tell = report
    numbers = numbers_of(name, job)
    if ledger.fresh or not job.has_begun(name):
        ledger.strike(list(ledger.done))
        with damaged_as_error(job):
            job.begin(name)
    elif lost := missing_blocks(job, name, ledger.done):
        ledger.strike(lost)
    todo = [number for number in numbers if number not in ledger.done]
    started, count = time.perf_counter(), len(numbers)
    if len(todo) < count:
        say(f"{pass_title(name)}: {count - len(todo)} of {count} were finished before")
    tell(name, count - len(todo), count)
    if name == "predict" and todo:
        job.pipeline.network.prepare()  # before threads ask for it; other processes find out on their own
    for number, _ in engine(work_of(name, job), todo):
        ledger.add(number)
        tell(name, len(ledger.done), count)
    if todo:
        seconds = time.perf_counter() - started
        rate = prod(job.plan.shape) * len(todo) / count / 1e6 / max(seconds, 1e-9)
        say(f"{pass_title(name)}: {seconds:.1f} s, {rate:.3g} Mvoxel/s")


def audit_classes(job: Job) -> list[Audit]:
    """The verdict on each class."""
    try:
        return [
            judge_seams(
                sum_planes(job.grid, (load(job.file("seams", part, number)) for number in range(len(job.grid))))
            )
            for part in range(len(job.parts))
        ]
    except DamagedFile as error:
        raise UserError(mend(job, error)) from error


def finish(job: Job, engine: Engine, keep: bool = False, mark: str | None = None) -> list[Path]:
    """Coarser levels, and the labels get their names, with the mark of their request; the folder of the job is removed,
    unless it is to be kept."""
    with lock_outputs(job.folder):
        out = []
        for path in job.plan.outputs:
            store = LabelStore.reopen(path)

            def everywhere(function: Any, regions: Any, path: str = path) -> Iterator[Any]:
                (level,) = function.args
                return engine(partial(coarsen_box, path, level), range(sum(1 for _ in regions)))

            out.append(store.finish(everywhere, {"request": mark} if mark else None))  # it only waits for the end
    JOBS.pop(str(job.folder), None)
    if not keep:
        discard(job.folder)
    return out


def clear_job(work: Path) -> None:
    """Remove what a call that was killed at its end has left of a job whose labels are there."""
    if work.exists() or lock_path(work)[0].exists():
        with lock_outputs(work):
            discard(work)


def coarsen_box(path: str, level: int, number: int) -> None:
    """One box of a coarser level: what travels to a worker."""
    store = LabelStore.reopen(path)
    store.coarsen(
        level, BlockGrid(store.levels[level].shape, store.units(level), (0,) * len(store.shape))[number].write
    )


def image_fingerprint(volume: Volume, source: ImageSource | None) -> dict[str, Any]:
    """What tells an image from another, or from itself after a change: the files' dates, and some windows of it."""
    space = tuple(int(n) for n in volume.shape)
    size = tuple(min(SAMPLE_SIDE, n) for n in space)
    places = islice(place_tiles(space, size, (1,) * len(space)), SAMPLE_WINDOWS)
    array: Any = volume.array
    seen = [np.ascontiguousarray(array[(..., *place)]).tobytes() for place in places]
    dates = []
    for path in [] if source is None else [source.paths] if isinstance(source.paths, str) else source.paths:
        head = Path(path.partition("::")[0])
        if head.is_file():
            dates.append([head.stat().st_size, head.stat().st_mtime_ns])
    return {
        "origin": volume.origin, "shape": space, "dtype": str(volume.dtype), "voxel": str(volume.voxel),
        "content": digest(*seen), "files": dates,
    }  # fmt: skip


def plan_value(plan: StoredPlan, word: str) -> Any:
    """The value of a field of the plan, or of its options."""
    group, _, name = word.rpartition(".")
    value = getattr(plan.options if group else plan, name)
    return json.loads(json.dumps(value, default=lambda one: one.model_dump(mode="json")))


def pass_inputs(job: Job, name: PassName, asked: Mapping[str, Any]) -> Sequence[Any]:
    """What else decides: the model, the image and the statistics of its norms about the first pass."""
    if name != "predict":
        return ()
    seen = (job.plan.tissue,) if job.plan.tissue else ()
    return asked["model"], asked["image"], (job.folder / STATISTICS).read_bytes(), *seen
