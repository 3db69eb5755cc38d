"""Blockwise is one piece for every method's network: the same tiles, statistics and channels, to a step of 8 bits."""

import numpy as np
import pytest
import torch

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.resample import resample, working_shape
from cytoshift.data.volumes import Volume
from cytoshift.methods import METHODS
from cytoshift.nets.chain import ChainSpec
from cytoshift.nets.resnet import ResNetSpec
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict.blockwise import segment_blockwise
from cytoshift.predict.blockwise.engine import Serial
from cytoshift.predict.blockwise.plan import BlockOptions
from cytoshift.predict.network import multiple, pad_to_step
from cytoshift.predict.pipeline import Options, Pipeline
from cytoshift.predict.working import Working
from cytoshift.represent import Classes, Ternary
from predicting import nuclei, segmenter
from tiny_methods import VOXELS, build

STEP = 1.01  # the stated tolerance, in steps of 8 bits: blocks against one piece in the same tiles, any voxel
PIECE = 0.1  # tiles against one tile, channels on average, of weights that have learnt nothing and tiles of 16 voxels
SHAPES = {2: (72, 100), 3: (20, 44, 40)}
TILES = {2: (40, 40), 3: (16, 24, 24)}
PIXELS = Voxel((1.0, 1.0))


def segmenter_of(name: str, ndim: int):
    """What a method ships before it has learnt anything."""
    method = build(name, ndim)
    spec = method.exported_spec()
    network = spec.build()
    network.load_state_dict((method.network().to_target if name == "cyclegan" else method.network()).state_dict())
    represent = Ternary() if name == "cyclegan" else method.task.represent  # a translator of images draws one channel
    return segmenter(ndim, spec=spec, network=network.eval().requires_grad_(False), representation=represent,
                     voxel=VOXELS[ndim])  # fmt: skip


def blocks_and_piece(made, volume, options, folder):
    """Channels (K, *S) in steps of 8 bits: of blocks, and of one piece; and the job."""
    represent = made.representation
    names = represent.names if isinstance(represent, Classes) else ("",)
    outputs = {name: folder / f"{name}.ome.zarr" for name in names}
    size = tuple(n // 2 for n in volume.shape)
    job = segment_blockwise(made, volume, outputs, folder / "work", Serial(),
                            BlockOptions(block=size, halo=(8,) * len(size)), options, only="predict")  # fmt: skip
    whole = Pipeline.of_image(made, job.scale(volume.load()), volume.voxel, options).channels()
    lows = np.array(job.represent.ranges)[:, 0].reshape(-1, *(1,) * len(size))
    found = job.stored_channels(slice(0, len(whole)), tuple(slice(0, n) for n in volume.shape))
    return found.astype(float), 255 * (whole - lows) / (1 - lows), job


@pytest.mark.parametrize(("name", "ndim"), [(name, ndim) for name, kind in METHODS.items() for ndim in kind.ndims])
def test_channels_of_blocks_are_those_of_one_piece_for_every_method(name, ndim, tmp_path):
    made = segmenter_of(name, ndim)
    images = [nuclei(SHAPES[ndim], 25, seed, empty=0.4)[0] for seed in range(made.spec.channels)]
    image = images[0] if len(images) == 1 else np.stack(images)
    volume = Volume("cells", image, "zyx"[-ndim:], VOXELS[ndim], "made up")
    options = Options(precision="32", tile=TILES[ndim])
    blocks, piece, job = blocks_and_piece(made, volume, options, tmp_path)
    assert len(job.cover) >= 4 and len(job.grid) >= 4
    assert np.abs(blocks - piece).max() <= STEP
    alone = Pipeline.of_image(made, job.scale(image), volume.voxel, Options(precision="32")).channels()
    lows = np.array(job.represent.ranges)[:, 0].reshape(-1, *(1,) * ndim)
    assert np.abs(255 * (alone - lows) / (1 - lows) - piece).mean() / 255 <= PIECE


def spec_of(kind: str):
    unet = UNetSpec.for_voxel(PIXELS, 1, 1, (8, 16), groups=4, stem=3)
    resnet = ResNetSpec.for_voxel(PIXELS, 1, 1, width=8, blocks=2, stem=3)
    return {"unet": unet, "chain": ChainSpec(first=resnet, segment=unet)}[kind]


@pytest.mark.parametrize("kind", ["unet", "chain"])
@pytest.mark.parametrize("size", [(1.0, 1.0), (0.7, 1.6)])
def test_networks_with_all_they_can_have_and_volumes_on_another_grid(kind, size, tmp_path):
    torch.manual_seed(1)
    spec = spec_of(kind)
    made = segmenter(2, spec=spec, network=spec.build().eval().requires_grad_(False), representation=Ternary())
    volume = Volume("cells", nuclei((90, 110), 40, 2, empty=0.4)[0], "yx", Voxel(size), "made up")
    blocks, piece, job = blocks_and_piece(made, volume, Options(precision="32", tile=(48, 48)), tmp_path)
    assert len(job.cover) >= 4
    far = np.abs(blocks - piece)
    assert far.max() <= STEP if size == (1.0, 1.0) else far.mean() <= STEP


@pytest.mark.parametrize("size", [(0.7, 0.7), (1.0, 1.0), (1.6, 1.3)])
def test_boxes_of_the_working_grid_are_those_of_the_whole(size):
    """Resampled, normalised and padded box by box, with channels brought back, as the whole is."""
    image = nuclei((61, 83), 30, 3)[0]
    made = segmenter(2)
    volume = Volume("cells", image, "yx", Voxel(size), "made up")
    scale = Normalisation().measure([image])
    working = Working(volume, scale, made.voxel, multiple(made))
    whole = pad_to_step(
        resample(scale(image), working_shape(image.shape, volume.voxel, made.voxel))[None], multiple(made)
    )
    assert working.shape == whole.shape
    for region in ((slice(0, 20), slice(16, 52)), (slice(8, whole.shape[1]), slice(4, whole.shape[2]))):
        box = (slice(0, 1), *region)
        assert np.abs(working[box] - whole[box]).mean() <= 2e-3, "the outermost half voxel is interpolated otherwise"
    own = (slice(17, 40), slice(60, 83))
    room = working.needed_region(own)
    inner = whole[(slice(None), *room)]
    back = resample(whole[0, : working.extent[0], : working.extent[1]], image.shape)
    assert np.abs(working.to_volume_grid(inner, room, own)[0] - back[own]).mean() <= 2e-3


class Counted:
    """A lazy image that notes what is read of it."""

    def __init__(self, image: np.ndarray):
        self.image, self.shape, self.dtype, self.read = image, image.shape, image.dtype, 0

    def __getitem__(self, key):
        self.read += 1
        return self.image[key]


@pytest.mark.parametrize("size", [(0.7, 0.7), (1.0, 1.0), (1.6, 1.3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_tiles_that_share_an_image_read_it_once_and_see_the_same(size, channels, monkeypatch):
    image = np.stack([nuclei((61, 83), 30, seed)[0] for seed in range(channels)])
    raw = image if channels > 1 else image[0]
    array, made = Counted(raw), segmenter(2)
    scale = Normalisation().measure([image[0]])
    working = Working(Volume("cells", array, "yx", Voxel(size), "made up"), scale, made.voxel, multiple(made))
    height, width = working.shape[1:]
    boxes = [(slice(0, 24), slice(0, 32)), (slice(16, height), slice(0, 32)), (slice(16, height), slice(24, width))]
    apart = [working[(slice(0, channels), *box)] for box in boxes]
    array.read = 0
    held = working.read_boxes(boxes)
    for box, wanted in zip(boxes, apart):
        np.testing.assert_array_equal(held[(slice(0, channels), *box)], wanted)
    assert array.read == 1
    monkeypatch.setattr("cytoshift.predict.working.HELD_BYTES", 1000)
    assert working.read_boxes(boxes) is working, "more than may be kept"
