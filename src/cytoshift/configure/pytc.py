"""Settings of CySGAN in PyTorch Connectomics (its usage page), as settings of a run.

Files are laid over each other as that program does, the later one wins. Every setting is either taken over or listed:
nothing is dropped in silence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.settings import parse, read_yaml
from ..core.voxel import Voxel
from ..data.corrupt import PAPER, Corrupt
from ..methods.cysgan import CySGAN
from ..train.run_settings import Run
from .recipe import overlay_settings

# What is said about settings that have no counterpart, by the longest beginning of their name.
REASONS = {
    "AUGMENTOR.ADDITIONAL_TARGETS": "labels and clean images share the geometry always",
    "AUGMENTOR.SMOOTH": "labels are smoothed where they are up-sampled",
    "AUGMENTOR.": "this part of it is fixed",
    "DATASET.DISTRIBUTED": "data are read lazily in every process",
    "DATASET.MATCH_ACT": "images are in [-1, 1] always",
    "DATASET.OUTPUT_PATH": "give it as the run folder of 'cytoshift train'",
    "DATASET.PAD_SIZE": "images are continued by reflection as far as needed",
    "DATASET.REJECT_SAMPLING": "labelled patches with less than 0.35 % of objects are drawn again with chance 0.9",
    "INFERENCE.INPUT_SIZE": "give it as the tile of 'cytoshift segment'",
    "INFERENCE.STRIDE": "give it as the overlap of 'cytoshift segment'",
    "INFERENCE.SAMPLES_PER_BATCH": "give it as the batch of 'cytoshift segment'",
    "INFERENCE.AUG": "give it as mirroring to 'cytoshift segment'",
    "INFERENCE.": "give images and output to 'cytoshift segment'",
    "MODEL.LOSS_OPTION": "the losses of the representation are these",
    "MODEL.OUT": "follows from the representation",
    "MODEL.WEIGHT_OPT": "mask and contour are balanced in every batch",
    "MODEL.OUTPUT_ACT": "follows from the representation",
    "MODEL.OUTPUT_SIZE": "is the size of the patch",
    "MODEL.MIXED_PRECESION": "give it as train.precision",
    "MODEL.": "the network is unet_plus_3d with residual_se blocks and group norm",
    "MONITOR.": "give it as train.log_every and train.samples_every",
    "SOLVER.NAME": "AdamW takes its place",
    "SOLVER.LR_SCHEDULER_NAME": "the rate rises over train.warm_up steps, then falls as a cosine",
    "SOLVER.ITERATION_SAVE": "give it as train.checkpoint_every",
    "SYSTEM.": "give it as train.devices and train.workers",
}
PART = lambda value, patch: value / (patch[-1] + 1)  # lengths are parts of 129 pixels for a patch of 128
DEPTH = lambda value, patch: value / (patch[0] + 1)
SAME = lambda value, patch: value
# AUGMENTOR's names -> those of Corrupt
CORRUPTIONS: dict[str, dict[str, tuple[str, Callable[[Any, tuple[int, ...]], Any]]]] = {
    "RESCALE": {"P": ("rescale", SAME)},
    "ELASTIC": {"P": ("elastic", SAME), "SIGMA": ("elastic_wavelength", PART)},
    "MISALIGNMENT": {
        "P": ("misalign", SAME),
        "DISPLACEMENT": ("misalign_distance", PART),
        "ROTATE_RATIO": ("misalign_rotation", SAME),
    },
    "MISSINGSECTION": {"P": ("missing_sections", SAME), "NUM_SECTION": ("missing_depth", DEPTH)},
    "GRAYSCALE": {"P": ("gray", SAME)},
    "CUTNOISE": {"P": ("cut_noise", SAME), "LENGTH_RATIO": ("noise_size", SAME), "SCALE": ("noise", SAME)},
    "CUTBLUR": {"P": ("cut_blur", SAME), "LENGTH_RATIO": ("blur_size", SAME)},
    "MOTIONBLUR": {
        "P": ("motion_blur", SAME),
        "SECTIONS": ("motion_depth", DEPTH),
        "KERNEL_SIZE": ("motion_length", PART),
    },
    "MISSINGPARTS": {
        "P": ("missing_parts", SAME),
        "ITER": ("parts_width", lambda value, patch: (2 * value + 1) / (patch[-1] + 1)),
    },
}
CLEAN = ("MISSINGPARTS", "MOTIONBLUR", "CUTBLUR", "CUTNOISE")  # of these the clean image is spared


@dataclass
class Leaves:
    """Settings by their dotted names; what was asked for is known, the rest is left."""

    values: dict[str, Any]
    asked: set[str]

    def take(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return self.values.get(name, default)

    def unused(self) -> list[str]:
        """The names of those that nobody asked for, with their values and what to do about them."""
        return [f"{name} = {value}: {reason(name)}" for name, value in self.values.items() if name not in self.asked]


def import_settings(paths: list[Path], voxel: Voxel) -> tuple[Run, list[str]]:
    """The settings of a run that these files ask for, and what of them has no counterpart.

    voxel: of source and target, which such files do not know; the networks' kernels follow it. Raises UserError where
    a file is not of this kind, or asks for what CySGAN here is not.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = overlay_settings(merged, read_yaml(path))
    given = Leaves(dict(flatten_settings(merged)), set())
    missing = [n for n in ("DATASET.IMAGE_NAME", "DATASET.LABEL_NAME", "NEW_DOMAIN.IMAGE_NAME") if not given.take(n)]
    if missing:
        raise UserError(
            f"{missing[0]} is needed, but {paths[-1].name} and the files before it have only "
            f"{', '.join(merged) or 'nothing'}; give the base and the method's file of CySGAN"
        )
    folder = str(given.take("DATASET.INPUT_PATH", "")).rstrip("/")
    where = lambda name: f"{folder}/{given.take(name)}" if folder else str(given.take(name))
    place = {"axes": "zyx", "voxel": voxel.size, "unit": voxel.unit}
    patch = tuple(int(n) // 4 * 4 for n in given.take("MODEL.INPUT_SIZE", (17, 129, 129)))
    corrupt = corruptions(given, patch).model_dump(mode="json", exclude_defaults=True)
    side = {"normalise": {"kind": "minmax"}, "corrupt": corrupt}
    preset = CySGAN.presets["paper-3d"]
    run = parse(
        Run,
        {
            "method": CySGAN.name,
            "data": {"images": {"paths": where("NEW_DOMAIN.IMAGE_NAME")} | place, **side},
            "source": {
                "images": {"paths": where("DATASET.IMAGE_NAME")} | place,
                "labels": {"paths": where("DATASET.LABEL_NAME")} | place,
                **side,
            },
            "patch": patch,
            "represent": representation(given),
            "options": options(given),
            "train": preset["train"] | training_settings(given),
        },
        "the imported settings",
    )
    return run, given.unused()


def representation(given: Leaves) -> dict[str, Any]:
    """Mask, contour and distance, as the targets and their weights say."""
    targets = [str(target) for target in given.take("MODEL.TARGET_OPT", ["0", "4-1-1", "5-3d-1-0-2.0"])]
    kinds = {("0", "4", "5"): "bcd", ("0", "4"): "bc"}
    kind = kinds.get(tuple(target.partition("-")[0] for target in targets))
    if kind is None:
        raise UserError(f"MODEL.TARGET_OPT is {targets}, but only mask, contour and distance are known "
                        "('0', '4-..', '5-..'); write other targets into 'represent' of run.yaml")  # fmt: skip
    weights = given.take("MODEL.LOSS_WEIGHT", [[1.0, 0.5], [1.0, 0.5], [5.0]])
    out: dict[str, Any] = {"kind": kind, "dice": weights[0][1] if len(weights[0]) > 1 else 0.0}
    return out | ({"regression": weights[2][0]} if kind == "bcd" else {})


def options(given: Leaves) -> dict[str, Any]:
    out: dict[str, Any] = {"widths": tuple(given.take("MODEL.FILTERS", (32, 64, 96, 128, 160)))}
    plus = given.take("MODEL.ARCHITECTURE", "unet_plus_3d") == "unet_plus_3d"
    out |= {"plus": plus, "non_local": plus}
    if not given.take("NEW_DOMAIN.SEMI_SUP", True):
        out |= {"agree": 0.0, "shape": 0.0}
    return out


def training_settings(given: Leaves) -> dict[str, Any]:
    names = {"SOLVER.BASE_LR": ("lr", float), "SOLVER.ITERATION_TOTAL": ("steps", int),
             "SOLVER.SAMPLES_PER_BATCH": ("batch", int), "SOLVER.WEIGHT_DECAY": ("weight_decay", float),
             "SOLVER.WARMUP_ITERS": ("warm_up", int)}  # fmt: skip
    found = {ours: (kind, given.take(theirs)) for theirs, (ours, kind) in names.items()}
    out: dict[str, Any] = {ours: kind(value) for ours, (kind, value) in found.items() if value is not None}
    for name, ours, known in (
        ("SOLVER.NAME", "optimizer", {"Adam": "adam", "AdamW": "adamw"}),
        ("SOLVER.LR_SCHEDULER_NAME", "schedule", {"WarmupCosineLR": "cosine"}),
    ):
        if given.values.get(name) in known:
            out[ours] = known[given.take(name)]
    return out


def corruptions(given: Leaves, patch: tuple[int, ...]) -> Corrupt:
    """The authors' augmentations, changed where the files change them."""
    if not given.take("AUGMENTOR.ENABLED", True):
        return Corrupt()
    changed: dict[str, Any] = {}
    for theirs, parts in CORRUPTIONS.items():
        for name, (ours, scaled) in parts.items():
            value = given.take(f"AUGMENTOR.{theirs}.{name}")
            if value is not None:
                changed[ours] = scaled(value, patch)
        if not given.take(f"AUGMENTOR.{theirs}.ENABLED", True):
            changed[parts["P"][0]] = 0.0
        if "recon_image" in given.take(f"AUGMENTOR.{theirs}.SKIP", []) and theirs not in CLEAN:
            raise UserError(
                f"AUGMENTOR.{theirs} skips recon_image, but here it changes image and clean image alike; leave SKIP "
                f"out, only {' and '.join(CLEAN)} can spare the clean image"
            )
    return parse(Corrupt, PAPER.model_dump() | changed, "AUGMENTOR")


def flatten_settings(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Nested settings as dotted names.

    >>> flatten_settings({"A": {"B": 1}, "C": 2})
    [('A.B', 1), ('C', 2)]
    """
    out = []
    for key, value in tree.items():
        out += flatten_settings(value, f"{before}{key}.") if isinstance(value, Mapping) else [(f"{before}{key}", value)]
    return out


def reason(name: str) -> str:
    fitting = [start for start in REASONS if name.startswith(start)]
    return REASONS[max(fitting, key=len)] if fitting else "it has no counterpart"
