"""A system of others run as a command: images in one folder, labels in another, checked when it has ended.

The command gets a folder with a TIFF for each image, NAME.tif (Y, X) or (Z, Y, X), and has to write the labels of each
under the same name to another folder, as .tif, .png or .npy: whole numbers, the shape of the image, 0 for background.
"""

import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.text import make_printable
from ..data.volumes import Volume
from ..data.write import write_image
from ..labels.ids import compact_labels

KEYS = ("images", "labels", "voxel", "diameter", "anisotropy", "ndim", "python", "script")
SHOWN_LINES, SHOWN_LETTERS = 3, 300  # of the last lines of an output, and letters of them, in a sentence
GRACE_SECONDS = 5.0  # seconds between asking a command to end and ending it
LOOK_SECONDS = 0.05  # seconds between looks whether it has ended
READABLE = (".tif", ".tiff", ".png", ".npy")
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class ExternalRun:
    """labels: of each image, by its name, (*S) int32, 1..N. seconds: of the command, its start included."""

    labels: Mapping[str, NDArray[np.int32]]
    seconds: float


def parse_command(command: str | Sequence[str]) -> list[str]:
    """The words of a command template. Raises UserError where it lacks a folder, or names what there is not.

    >>> parse_command("python seg.py {images} {labels}")
    ['python', 'seg.py', '{images}', '{labels}']
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise UserError(f"the command {command} cannot be read ({error}); check its quotes") from None
    text = " ".join(words)
    if missing := next((key for key in ("images", "labels") if f"{{{key}}}" not in text), None):
        raise UserError(
            f"the command '{text}' has no {{{missing}}}; write {{images}} where the folder of images goes, and "
            "{labels} where that of labels goes"
        )
    return words


def fill_command(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The command with its values. Raises UserError for a value that is not known, such as a diameter."""
    filled = []
    for word in words:
        for key in KEYS:
            if f"{{{key}}}" in word and key not in values:
                raise UserError(f"the command asks for {{{key}}}, which is not known here; set `{key}`")
            word = word.replace(f"{{{key}}}", values.get(key, ""))
        filled.append(word)
    return filled


def run_external(
    command: Sequence[str], volumes: Sequence[Volume], values: Mapping[str, str] | None = None,
    limit: float | None = None,
) -> ExternalRun:  # fmt: skip
    """Write images, run a command over them, read and check its labels.

    Parameters
    ----------
    command : words of a template, see `parse_command`.
    volumes : images of one channel.
    values : what else the template may name: diameter (voxels), python, script.
    limit : seconds after which the command is ended; None: never.

    Raises
    ------
    UserError
        The command is not there, fails, takes too long, or its labels are missing, of another shape or no whole
        numbers. The last lines of its output are in the sentence.
    """
    names = file_names(volumes)
    with tempfile.TemporaryDirectory(prefix="cytoshift-external-", ignore_cleanup_errors=True) as place:
        images, labels, log = Path(place) / "images", Path(place) / "labels", Path(place) / "output.txt"
        images.mkdir()
        labels.mkdir()
        for volume in volumes:
            write_input(images / f"{names[volume.name]}.tif", volume)
        side = volumes[0].voxel.size
        known = {
            "images": str(images), "labels": str(labels), "voxel": ",".join(f"{length:g}" for length in side),
            "anisotropy": f"{side[0] / side[-1]:g}", "ndim": str(len(side)), **(values or {}),
        }  # fmt: skip
        words = fill_command(command, known)
        started = time.perf_counter()
        code = run_command(words, log, limit)
        seconds = time.perf_counter() - started
        if code is None:
            raise UserError(
                f"{quote_command(words)} was ended after {limit:g} seconds, its time limit; its last lines were: "
                f"{last_lines(log)}; raise `time_limit`, or give it fewer images"
            )
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
            raise UserError(
                f"{quote_command(words)} {how}; its last lines were: {last_lines(log)}; run it by hand to mend it"
            )
        found = {volume.name: read_output(labels, names[volume.name], volume, log) for volume in volumes}
    return ExternalRun(found, seconds)


def file_names(volumes: Sequence[Volume]) -> dict[str, str]:
    """Names without spaces and signs, which commands of others may not bear; by those of the images."""
    plain = {v.name: "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in v.name) for v in volumes}
    if len(set(plain.values())) == len(plain):
        return plain
    return {name: f"image{number:05d}" for number, name in enumerate(plain)}


def write_input(path: Path, volume: Volume) -> None:
    """An image as any program reads it: uint8, uint16 or float32; voxels without data are dark."""
    if volume.channels > 1:
        raise UserError(f"{volume.origin} has {volume.channels} channels, and a command takes one; pass `channel`")
    image = volume.load()
    if image.dtype.kind == "f":
        image = np.nan_to_num(
            image.astype(np.float32), nan=float(np.nanmin(image)) if np.isfinite(image).any() else 0.0
        )
    elif image.dtype not in (np.uint8, np.uint16):
        fits = image.size == 0 or (image.min() >= 0 and image.max() < 2**16)
        image = image.astype(np.uint16 if fits else np.float32)
    write_image(path, image, volume.voxel, volume.axes)


def own_environment() -> dict[str, str]:
    """Variables of this process without those that lead a Python of others to our packages."""
    return {key: value for key, value in os.environ.items() if key not in FOREIGN}


def run_command(words: Sequence[str], log: Path, limit: float | None = None) -> int | None:
    """The exit code of a command, or None where the time was over; its output is in `log`.

    It runs in a group of processes of its own, which is ended as a whole: by the limit, and if we are stopped.
    """
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                list(words), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=own_environment(),
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UserError(
                f"{words[0]} cannot be run ({reason}); check the command, and that it is installed"
            ) from None
        started = time.monotonic()
        try:
            while (code := process.poll()) is None:
                if limit is not None and time.monotonic() - started > limit:
                    return None
                time.sleep(LOOK_SECONDS)
            return code
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and whatever it has started: asked first, then forced."""
    if os.name == "nt":
        process.kill()
    else:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except (ProcessLookupError, PermissionError):
                break
            until = time.monotonic() + GRACE_SECONDS
            while process.poll() is None and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
    process.wait()


def quote_command(words: Sequence[str]) -> str:
    """A command in a sentence."""
    text = make_printable(shlex.join(words))
    return f"the command '{text if len(text) <= 160 else text[:157] + '...'}'"


def last_lines(log: Path) -> str:
    """The end of an output, on one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    text = make_printable(" | ".join(lines[-SHOWN_LINES:]))
    return text[-SHOWN_LETTERS:] if text else "(it printed nothing)"


def read_output(folder: Path, name: str, volume: Volume, log: Path) -> NDArray[np.int32]:
    """The labels of one image, 1..N. Raises UserError where they are none."""
    path = next((path for end in READABLE if (path := folder / f"{name}{end}").is_file()), None)
    if path is None:
        there = sorted(one.name for one in folder.iterdir())
        raise UserError(
            f"the command wrote no labels of '{volume.name}' ({name}.tif, .png or .npy; there are "
            f"{', '.join(there[:5]) or 'no files'}); its last lines were: {last_lines(log)}"
        )
    labels = read_labels(path, volume)
    if labels.shape != volume.shape:
        raise UserError(
            f"the command's labels of '{volume.name}' have the shape {labels.shape}, the image {volume.shape}; "
            "its labels have to be of the size of the image"
        )
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
        raise UserError(
            f"the command's labels of '{volume.name}' are {labels.dtype} that are no whole numbers; it has to write "
            "labels, not probabilities"
        )
    if labels.size and labels.min() < 0:
        raise UserError(
            f"the command's labels of '{volume.name}' hold {labels.min()}; 0 is background, objects are 1..N"
        )
    return compact_labels(labels.astype(np.int64))[0].astype(np.int32)


def read_labels(path: Path, volume: Volume) -> NDArray[np.generic]:
    """The array in a file, whatever it claims of its axes; a single axis of length 1 more is dropped."""
    import tifffile
    from PIL import Image

    try:
        if path.suffix == ".npy":
            found = np.load(path, allow_pickle=False)
        elif path.suffix == ".png":
            with Image.open(path) as picture:
                found = np.asarray(picture)
        else:
            found = tifffile.imread(path)
    except Exception as error:  # whatever a reader says of a damaged file
        raise UserError(f"the command's labels of '{volume.name}' cannot be read ({error}); run it by hand") from error
    if found.dtype.kind not in "uibf":
        raise UserError(f"the command's labels of '{volume.name}' are {found.dtype}, not whole numbers; run it by hand")
    squeezed = np.squeeze(found)
    return np.asarray(squeezed if squeezed.shape == volume.shape else found)
