"""What the tests of prediction share: a synthetic field of nuclei, and a small network that has seen a few."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume
from cytoshift.model import Segmenter
from cytoshift.nets.network_spec import TranslatorSpec
from cytoshift.represent import Ternary

torch.set_num_threads(1)  # of so small networks, threads only wait for each other
TINY = {"width": 8, "blocks": 2, "stem": 3, "hidden": 8}


def nuclei(shape: tuple[int, ...], count: int, seed: int, empty: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Image (*S) uint16 and labels (*S): balls of radius 4 to 7, uneven in brightness, light falling along x.

    empty: part of the image, from the left, without any.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for _ in range(count):
        centre, radius = rng.uniform(0, shape), rng.uniform(4, 7)
        if centre[-1] < empty * shape[-1] + radius:
            continue
        box = tuple(slice(max(int(c - radius), 0), int(c + radius) + 2) for c in centre)
        grid = np.stack(np.meshgrid(*[np.arange(n)[b] for n, b in zip(shape, box)], indexing="ij"), -1)
        inside = ((grid - centre) ** 2).sum(-1) <= radius**2
        labels[box][inside & (labels[box] == 0)] = labels.max() + 1
    bright = np.append(0, rng.uniform(0.5, 1.0, labels.max()))
    light = np.linspace(1.0, 0.6, shape[-1])
    image = 300 + 2000 * gaussian_filter(bright[labels], 1) * light + rng.normal(0, 60, shape)
    return image.clip(0).astype(np.uint16), labels


def volume(array: np.ndarray, size: tuple[float, ...] | None = None, unit: str = "px", name: str = "cells") -> Volume:
    axes = "zyx"[-array.ndim :]
    return Volume(name, Whole(array), axes, Voxel(size or (1.0,) * array.ndim, unit), f"{name}, in memory")


class Whole:
    """An array as a lazy one."""

    def __init__(self, array: np.ndarray):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        return self.array[index]


def segmenter(ndim: int = 2, size: tuple[float, ...] | None = None, unit: str = "px", **changes) -> Segmenter:
    """With random weights, the same in every call."""
    spec = TranslatorSpec(ndim=ndim, **TINY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build().eval().requires_grad_(False)
    parts = {
        "spec": spec, "network": network, "normalisation": Normalisation(), "scale": None,
        "voxel": Voxel(size or (1.0,) * ndim, unit), "axes": "zyx"[-ndim:], "representation": Ternary(),
        "card": {"method": "none"},
    }  # fmt: skip
    return Segmenter(**(parts | changes))


def taught(steps: int) -> Segmenter:
    """A 2D segmenter that has learnt from a few fields of `nuclei`, well enough to find most of them."""
    made = segmenter()
    fields = [nuclei((128, 128), 50, seed, empty=0.3 * (seed % 2)) for seed in range(4)]
    images = [Normalisation().measure([image])(image) for image, _ in fields]
    targets = [made.representation.encode(labels, made.voxel)[0] for _, labels in fields]
    rng = np.random.default_rng(0)
    network = made.network.train().requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(steps):
        cuts = [(rng.integers(4), *rng.integers(0, 64, 2)) for _ in range(3)]
        x, y = (
            torch.from_numpy(np.stack([whole[i][r : r + 64, c : c + 64] for i, r, c in cuts]))[:, None]
            for whole in (images, targets)
        )
        loss = made.representation.loss(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval().requires_grad_(False)
    return made
