"""How a volume is cut for blockwise work: derived from the model, the volume and the memory of a process."""

import os
from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from ...core.blocks import BlockGrid
from ...core.errors import UserError
from ...core.settings import LaterSettings, Settings
from ...core.text import count_of
from ...data.multiscale import CHUNK, Ngff
from ...model import Segmenter
from ..calibration import CONTEXT_VOXELS
from ..pipeline import Options
from ..tiles import Cover

Ints = tuple[int, ...]

BASE_BYTES = 700e6  # bytes of a process that has loaded torch and a model
LARGEST_BLOCK = 2**27  # voxels that a block reads at most: larger ones spare little and are lost more easily
FACE_REACH = 4  # voxels to each side of a face in which two blocks compare their objects
TASK_VOXELS = 2**24  # voxels of the working grid that one task of pass 1 draws at most


class BlockOptions(LaterSettings):
    """What a caller says about blocks; the rest is derived.

    block: voxels that a block writes, rounded up to whole chunks of the output. halo: voxels that it reads beyond
    them. memory: bytes that each process may hold. ngff: version of OME-Zarr. tissue: is found first, and all else of a
    slide left out.
    """

    block: tuple[int, ...] | None = None
    halo: tuple[int, ...] | None = None
    memory: float = Field(4e9, gt=0)
    ngff: Ngff = "0.5"
    tissue: bool = False

    later: ClassVar[frozenset[str]] = frozenset({"tissue"})


class Plan(Settings):
    """The geometry. Voxels are the volume's own, those of `working`, `tile`, `overlap` and `step` the working grid's.

    block: written by one task; halo: read beyond it to decode. chunk: of the labels that come out.
    working: extent of the working grid with padding; tile: what the network sees at once; step: what all places of
    tiles are multiples of; group: tiles along each axis that one task draws.
    reach: to each side of a face, where two blocks compare. objects: extent of the largest object that is expected.
    """

    shape: Ints
    block: Ints
    halo: Ints
    chunk: Ints
    working: Ints
    tile: Ints
    overlap: int
    step: Ints
    group: Ints
    reach: Ints
    objects: Ints

    @property
    def grid(self) -> BlockGrid:
        return BlockGrid(self.shape, self.block, self.halo)

    @property
    def cover(self) -> Cover:
        """The tiles of the network: those that the volume has in one piece, whatever the blocks."""
        return Cover(self.working, self.tile, self.overlap, self.step)

    @property
    def tasks(self) -> BlockGrid:
        """Of pass 1, as blocks of tiles."""
        return BlockGrid(self.cover.counts, self.group, (0,) * len(self.group))

    @property
    def room(self) -> Ints:
        """Of a block's stored labels: what it writes and `reach` around."""
        return tuple(min(b + 2 * r, n) for b, r, n in zip(self.block, self.reach, self.shape))

    def sentences(self, memory: float, known: bool) -> list[str]:
        """What there is to say before the work begins."""
        out = [
            f"{count_of(len(self.grid), 'block')} of {shape_text(self.block)} voxels, halo "
            f"{shape_text(self.halo)}, chunks {shape_text(self.chunk)}; the network sees tiles of "
            f"{shape_text(self.cover.extent)}, "
            f"{self.overlap} of them shared with the next; up to {memory / 1e9:.3g} GB per process"
        ]
        if any(h < o for h, o in zip(self.halo, self.objects)):
            out.append(
                f"warning: the halo {shape_text(self.halo)} is smaller than the objects, about "
                f"{shape_text(self.objects)} "
                f"voxels, and those at block faces may come out cut; pass `halo` "
                f"{','.join(str(o + CONTEXT_VOXELS) for o in self.objects)}"
            )
        elif not known:
            out.append(
                f"warning: the model does not say how large objects are; a halo of {shape_text(self.halo)} voxels is "
                "taken, "
                f"pass `halo` with the extent of the largest ones if they are larger"
            )
        return out


def shape_text(sizes: tuple[int, ...]) -> str:
    """
    >>> shape_text((64, 128, 128))
    '64 x 128 x 128'
    """
    return " x ".join(map(str, sizes))


def make_plan(
    shape: Ints, objects: Ints, bytes_each: int, wishes: BlockOptions, options: Options, grid: tuple[Ints, Ints, Ints]
) -> Plan:
    """The plan of one volume. objects: extent of the largest one that is expected. bytes_each: that decoding takes for
    a voxel. grid: extent of the working grid with padding, its step, and the network's tiles there.

    Raises UserError where wishes do not fit the axes, or the memory not even one block.
    """
    refuse_options(wishes, len(shape))
    halo = wishes.halo or tuple(o + CONTEXT_VOXELS for o in objects)
    reach = tuple(max(min(FACE_REACH, h), 1) for h in halo)
    budget = (wishes.memory - BASE_BYTES) / bytes_each
    if wishes.block is None:
        chunk = tuple(min(c, n) for c, n in zip(CHUNK[len(shape)], shape))
        block = grow_block(shape, chunk, halo, min(budget, LARGEST_BLOCK))
    else:
        block, chunk = whole_chunks(wishes.block, shape)
    need = prod(min(b + 2 * h, n) for b, h, n in zip(block, halo, shape))
    if need > budget:
        raise UserError(
            f"a memory of {wishes.memory / 1e9:.3g} GB is not enough: a block of {shape_text(block)} voxels with halo "
            f"{shape_text(halo)} needs {(BASE_BYTES + need * bytes_each) / 1e9:.3g} GB; pass a larger `memory` or a "
            "smaller `block`"
        )
    working, step, tile = grid
    ones = (1,) * len(shape)
    room = min(TASK_VOXELS, prod(block)) // prod(tile)  # small blocks are wished for where little is to be lost
    group = grow_block(Cover(working, tile, options.overlap, step).counts, ones, (0,) * len(shape), room)
    return Plan(
        shape=shape, block=block, halo=halo, chunk=chunk, working=working, tile=tile, overlap=options.overlap,
        step=step, group=group, reach=reach, objects=objects,
    )  # fmt: skip


def refuse_options(wishes: BlockOptions, axes: int) -> None:
    for name, sizes in (("block", wishes.block), ("halo", wishes.halo)):
        least = 1 if name == "block" else 0
        if sizes is not None and (len(sizes) != axes or min(sizes) < least):
            raise UserError(
                f"{name} {','.join(map(str, sizes))} does not fit an image of {axes} axes; give one size per axis, as "
                f"{','.join(['256'] * axes if least else ['32'] * axes)}"
            )


def grow_block(shape: Ints, chunk: Ints, halo: Ints, voxels: float) -> Ints:
    """Whole chunks, as cubic as can be, that read at most so many voxels; one chunk at least."""
    block = list(chunk)
    open_axes = set(range(len(shape)))
    while open_axes:
        axis = min((a for a in open_axes), key=lambda a: (block[a], a))
        wider = list(block)
        wider[axis] = min(block[axis] + chunk[axis], -(-shape[axis] // chunk[axis]) * chunk[axis])
        if wider == block or prod(min(b + 2 * h, n) for b, h, n in zip(wider, halo, shape)) > voxels:
            open_axes.discard(axis)
        else:
            block = wider
    return tuple(block)


def whole_chunks(block: Ints, shape: Ints) -> tuple[Ints, Ints]:
    """A block size as multiples of chunks, and these chunks."""
    block = tuple(min(b, n) for b, n in zip(block, shape))
    chunk = tuple(min(b, c) for b, c in zip(block, CHUNK[len(shape)]))
    return tuple(-(-b // c) * c for b, c in zip(block, chunk)), chunk


def storage_chunks(shape: Ints) -> Ints:
    """What an array between two passes is stored in: equal pieces of about a chunk.

    >>> storage_chunks((264, 264, 264)), storage_chunks((80, 80, 80)), storage_chunks((512, 500))
    ((66, 132, 132), (80, 80, 80), (512, 500))
    """
    return tuple(-(-n // max(round(n / c), 1)) for n, c in zip(shape, CHUNK[len(shape)]))


def fits_in_memory(segmenter: Segmenter, voxels: int, itemsize: int, workers: int = 1) -> bool:
    """Whether a volume can go through in one piece on this machine: half of its memory is enough for all its arrays,
    those of every worker."""
    if not hasattr(os, "sysconf"):
        return True
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    represent = segmenter.representation
    each = represent.decode_bytes + 12 * len(represent.channels) + itemsize
    return BASE_BYTES + voxels * each < memory / 2 / workers


PassName = Literal["predict", "decode", "link", "merge", "write", "audit"]
PASSES: tuple[PassName, ...] = ("predict", "decode", "link", "merge", "write", "audit")


def pass_title(name: PassName) -> str:
    """
    >>> pass_title("decode")
    '(2) decode'
    """
    return f"({PASSES.index(name) + 1}) {name}"
