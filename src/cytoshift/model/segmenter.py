"""A trained model in memory, and as `model.json` and `weights.safetensors` in a folder. No pickle, no code."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from .. import __version__
from ..core.atomic import atomic_path, refuse_other_contents
from ..core.errors import UserError
from ..core.normalise import Recipe, Scale, Scales, is_dataset_wide
from ..core.settings import Settings, parse, shorten
from ..core.voxel import Voxel
from ..nets.network_spec import NetSpec, with_frozen_norms
from ..represent import RepresentationSettings
from .shipped import JSON, WEIGHTS, model_folder, model_names

FORMAT = 1  # of model.json; raised when an older reader would misread it
LONGEST_JSON = 2**26  # bytes of a model.json; ours are some ten thousand
HEAVIEST = 2**33  # bytes of weights; ours are some million
STRANGERS = f"{JSON} and {WEIGHTS} are not of one model; copy the model folder again"
# What safetensors calls the numbers that torch computes with.
NUMBERS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


class VoxelEntry(Settings):
    size: tuple[float, ...]
    unit: str


class ScaleEntry(Settings):
    offset: float
    gain: float
    clip: tuple[float, float]
    gamma: float = 1.0


class ModelFile(Settings):
    """`model.json`, in the order in which it is written."""

    format: Literal[1] = 1
    cytoshift: str
    axes: Literal["yx", "zyx"]
    voxel: VoxelEntry
    normalisation: Recipe
    scale: ScaleEntry | tuple[ScaleEntry, ...] | None
    network: NetSpec
    representation: RepresentationSettings
    card: dict[str, Any]
    diameter: float | None = Field(None, gt=0)
    sides: dict[str, float] = Field({})


@dataclass(frozen=True, eq=False)
class Segmenter:
    """What turns raw images into instances.

    spec: what the network is built from. network: (B, C, *S) normalised image -> (B, K, *S) logits.
    normalisation: how raw intensities are brought to its range, of several channels one recipe for all or for each;
        scale: the numbers of a whole data set, where that is what `per` says. voxel: the size the network works at;
        axes: "yx" or "zyx".
    representation: activates and decodes the channels, with its thresholds in the unit of `voxel`.
    card: what a person wants to know (method, data, settings, date); JSON values, nothing is computed from it.
    diameter: of a model for objects of any size, how many voxels of the network they shall be across; `voxel` is then
        a pixel, and the model is fitted to images before it is used (trust.size_fit). None: `voxel` holds as it is.
    sides: of a model that was fitted to images with objects of different sizes, the side of the network's voxels in an
        image, by the image's name; `voxel` holds in all other images.
    """

    spec: NetSpec
    network: nn.Module
    normalisation: Recipe
    scale: Scale | Scales | None
    voxel: Voxel
    axes: str
    representation: RepresentationSettings
    card: dict[str, Any] = field(default_factory=dict)
    diameter: float | None = None
    sides: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.spec.ndim == self.voxel.ndim == len(self.axes):
            raise UserError(
                f"the model contradicts itself: a {self.spec.ndim}D network, axes '{self.axes}', voxel size "
                f"{self.voxel}; train it again"
            )
        if is_dataset_wide(self.normalisation) != (self.scale is not None):
            raise UserError(
                f"the model contradicts itself: normalised per {'image' if self.scale else 'dataset'}, "
                f"{'without' if self.scale is None else 'with'} the numbers of a data set; train it again"
            )

        channels = self.spec.channels
        if isinstance(self.scale, Scales) and len(self.scale.each) != channels:
            raise UserError(
                f"the model contradicts itself: a network of {channels} channels, {len(self.scale.each)} scales; train "
                "it again"
            )

    def __repr__(self) -> str:
        """On a line: what it takes, what it finds, and where it comes from."""
        method, steps = self.card.get("method"), self.card.get("step")
        trained = f", {method}" * bool(method) + f" after {steps} steps" * bool(steps)
        return (
            f"{type(self).__name__}('{self.axes}' at {self.voxel}, {self.spec.kind} of {self.spec.channels} to "
            f"{len(self.representation.channels)} channels, {self.representation.kind}{trained})"
        )

    def _repr_html_(self) -> str:
        """The card as a table, for notebooks."""
        card = {name: json.dumps(value, default=str) for name, value in self.card.items()}
        rows = "".join(
            f"<tr style='text-align:left'><th>{escape(name)}</th><td>{escape(shorten(words))}</td></tr>"
            for name, words in card.items()
        )
        return f"<p><code>{escape(repr(self))}</code></p><table>{rows}</table>"

    def for_image(self, name: str) -> Self:
        """The same network at the voxel size that it has in the image of this name."""
        if name not in self.sides:
            return self
        side, represent = self.sides[name], self.representation
        if (smallest := getattr(represent, "smallest", None)) is not None:
            represent = represent.model_copy(update={"smallest": smallest * side / self.voxel.size[-1]})
        voxel = Voxel((side,) * self.voxel.ndim, self.voxel.unit)
        return replace(self, voxel=voxel, representation=represent, sides={})

    def adapt_norms(self) -> Self:
        """The same network with norms that take their statistics from each image (adaptive batch norm, Li et al. 2016).

        Of a volume in tiles or blocks they are measured once, over windows of all of it. A model whose norms do so
        anyway is returned as it is.
        """
        spec = with_frozen_norms(self.spec, False)
        if spec == self.spec:
            return self
        network, weights = spec.build(), self.network.state_dict()
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
        network.to(next(self.network.parameters()).device).eval().requires_grad_(False)
        return replace(self, spec=spec, network=network)

    def save(self, folder: Path) -> Path:
        """Write the folder, whole or not at all; a model that is there is replaced. Returns it.

        Raises UserError where it cannot be written, and where the folder holds anything but a model.
        """
        folder = Path(folder)
        refuse_other_contents(folder, (JSON, WEIGHTS))
        content = ModelFile(
            cytoshift=__version__,
            axes="zyx" if self.axes == "zyx" else "yx",
            voxel=VoxelEntry(size=self.voxel.size, unit=self.voxel.unit),
            normalisation=self.normalisation,
            scale=scale_entry(self.scale),
            network=self.spec,
            representation=self.representation,
            card=self.card,
            diameter=self.diameter,
            sides=dict(self.sides),
        ).model_dump(mode="json")
        for name in ("diameter", "sides"):  # older versions read what does not say it
            if not content[name]:
                del content[name]
        # Cloned, because one buffer may carry several tensors and the file format refuses that.
        weights = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        with atomic_path(folder) as beside:
            beside.mkdir()
            (beside / JSON).write_text(json.dumps(content, indent=2) + "\n")
            # Not by `save_file`, whose files nobody but their owner can read.
            (beside / WEIGHTS).write_bytes(serialise(weights))
        return folder

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Read a folder that `save` wrote; the network comes in inference mode, on `device`.

        Executes nothing from the folder and needs no training code. Raises UserError, one sentence, where a file
        is missing, damaged or from a newer version, and where weights and network do not fit.
        """
        folder = model_folder(folder)
        content = read_model_file(folder)
        # Built without memory, so that a damaged size cannot ask for any: the weights bring it.
        with torch.device("meta"):
            network = content.network.build()
        wanted = network.state_dict()
        weights = read_weights(folder / WEIGHTS, wanted)
        refuse_numbers(folder, wanted, weights)
        # Copied out of the file: how a memory map is aligned would reach the last bits of what the network gives.
        network.load_state_dict({n: t.to(wanted[n].dtype, copy=True) for n, t in weights.items()}, assign=True)
        network.to(device).eval().requires_grad_(False)
        return cls(
            spec=content.network,
            network=network,
            normalisation=content.normalisation,
            scale=entry_numbers(content.scale),
            voxel=Voxel(content.voxel.size, content.voxel.unit),
            axes=content.axes,
            representation=content.representation,
            card=content.card,
            diameter=content.diameter,
            sides=content.sides,
        )


def scale_entry(scale: Scale | Scales | None) -> ScaleEntry | tuple[ScaleEntry, ...] | None:
    if isinstance(scale, Scales):
        return tuple(ScaleEntry(**asdict(one)) for one in scale.each)
    return None if scale is None else ScaleEntry(**asdict(scale))


def entry_numbers(entry: ScaleEntry | tuple[ScaleEntry, ...] | None) -> Scale | Scales | None:
    if isinstance(entry, tuple):
        return Scales(tuple(Scale(**one.model_dump()) for one in entry))
    return None if entry is None else Scale(**entry.model_dump())


def fingerprint(folder: Path | str) -> str:
    """A digest of a model folder: two that are equal give the same instances, whatever its card says."""
    place = model_folder(folder)
    content = read_model_file(place).model_dump(mode="json", exclude={"card", "cytoshift"}, exclude_unset=True)
    digest = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16)
    with (place / WEIGHTS).open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def read_model_file(folder: Path) -> ModelFile:
    """The checked content of model.json."""
    path = folder / JSON
    if not folder.is_dir():
        raise UserError(
            f"model folder {folder} does not exist; pass the folder 'model' of a run of 'cytoshift train', or one of "
            f"the models of the package: {', '.join(model_names())}"
        )
    if not path.is_file():
        inner = folder / "model"
        cure = f"pass {inner}" if (inner / JSON).is_file() else "pass the folder 'model' of a finished run"
        raise UserError(f"{folder} is not a model folder, it holds no {JSON}; {cure}")
    if path.stat().st_size > LONGEST_JSON:
        raise UserError(
            f"{path} has {path.stat().st_size / 1e9:.3g} GB, a model's has less than {LONGEST_JSON / 1e9:.1g}; it "
            "is damaged, copy the model folder again"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a number of thousands of digits, lists in lists in lists
        raise UserError(f"{path} is damaged, it is no JSON; copy the model folder again") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} is damaged, it holds no mapping; copy the model folder again")
    version = data.get("format")
    if version != FORMAT:
        raise UserError(
            f"{path} has the format {shorten(repr(version))}, but cytoshift {__version__} reads {FORMAT}; install the "
            f"version that wrote it ({shorten(str(data.get('cytoshift', 'not named')))})"
        )
    return parse(ModelFile, data, str(path))


def refuse_heavy(folder: Path, wanted: Mapping[str, Tensor]) -> None:
    """Raises UserError for a network that no machine is meant for."""
    heavy = sum(tensor.numel() * tensor.element_size() for tensor in wanted.values())
    if heavy > HEAVIEST:
        raise UserError(
            f"{folder / JSON} describes a network of {heavy / 1e9:.3g} GB, read are {HEAVIEST / 1e9:.2g} at most; it "
            "is damaged, copy the model folder again"
        )


def read_weights(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file. Of one whose header declares others than are wanted nothing else is read."""
    if not path.is_file():
        raise UserError(f"{path} is missing, the model has no weights; copy the whole model folder")
    if (size := path.stat().st_size) > HEAVIEST:
        raise UserError(
            f"{path} has {size / 1e9:.3g} GB, read are {HEAVIEST / 1e9:.2g} at most; it is damaged, copy the model "
            "folder again"
        )
    try:
        with safe_open(path, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            refuse_misfits(path.parent, wanted, {name: tuple(part.get_shape()) for name, part in parts.items()})
            refuse_heavy(path.parent, wanted)
            for name, part in parts.items():
                if part.get_dtype() not in NUMBERS:
                    stored, read = part.get_dtype(), ", ".join(NUMBERS)
                    raise UserError(
                        f"{path.parent}: weight '{name}' is stored as {stored}, read are {read}; save the model again"
                    )
            return {name: file.get_tensor(name) for name in parts}
    except (SafetensorError, OSError, RuntimeError) as error:  # the last of torch, where the file cannot be mapped
        raise UserError(f"{path} is damaged ({error}); copy the model folder again") from None


def refuse_misfits(folder: Path, wanted: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises UserError at the first tensor that is missing, unknown or of another shape."""
    for name, want in wanted.items():
        if name not in shapes:
            raise UserError(f"{folder}: the network needs the weight '{name}', which is not there; {STRANGERS}")
        if shapes[name] != tuple(want.shape):
            both = f"the shape {shapes[name]}, the network needs {tuple(want.shape)}"
            raise UserError(f"{folder}: weight '{name}' has {both}; {STRANGERS}")
    for name in shapes:
        if name not in wanted:
            raise UserError(f"{folder}: weight '{name}' belongs to no part of the network; {STRANGERS}")


def refuse_numbers(folder: Path, wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Raises UserError at the first tensor of another kind of number, or with values that are none."""
    for name, want in wanted.items():
        got = weights[name]
        if got.is_floating_point() and not got.isfinite().all():
            raise UserError(f"{folder}: weight '{name}' holds values that are no numbers; {STRANGERS}")
        if got.is_floating_point() != want.is_floating_point():
            raise UserError(f"{folder}: weight '{name}' holds {got.dtype}, the network needs {want.dtype}; {STRANGERS}")
