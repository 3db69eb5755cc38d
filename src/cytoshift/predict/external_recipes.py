"""Segmentation systems of others as recipes: their environment, made by pip beside ours, whole or not at all, and the
command that runs them.

A recipe is a YAML file in `recipes/`. Nothing of such a system is imported here: it runs in an environment of its own,
and takes a folder of images to a folder of labels (external_command.py).
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from pydantic import Field

from ..core.atomic import discard
from ..core.errors import UserError
from ..core.settings import Settings, parse, read_yaml
from ..data.fetch import cache_folder
from .external_command import last_lines, own_environment, run_command

FOLDER = Path(__file__).parent / "recipes"
PLACE = "CYTOSHIFT_ENVIRONMENTS"  # environment: another folder for the environments
READY = "ready.json"  # is there once an environment is whole
NO_NETWORK = (
    "NameResolutionError",
    "NewConnectionError",
    "Network is unreachable",
    "Could not fetch URL",
    "ProxyError",
)


class ExternalRecipe(Settings):
    """A system of others.

    title: name and version. pip: what its environment gets, as arguments of pip. command: a list of words, in which
    {python} is the environment's, {script} the file with `script`, and the rest as in `external_command.Places`.
    ndim: dimensions of images that it takes. needs: what the user has to bring or download, said in tables. page: where
    its interface is written down. licence: of code and weights.
    """

    title: str
    pip: list[str] = Field(min_length=1)
    command: list[str] = Field(min_length=1)
    script: str = ""
    ndim: tuple[int, ...] = (2, 3)
    needs: str = ""
    page: str
    licence: str


def recipe_names() -> list[str]:
    """Names of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(name: str) -> ExternalRecipe:
    """A recipe by its name. Raises UserError where there is none.

    >>> read_recipe("stardist").ndim
    (2,)
    """
    path = FOLDER / f"{name}.yaml"
    if name not in recipe_names():
        raise UserError(f"there is no recipe '{name}'; there are {', '.join(recipe_names())}")
    return parse(ExternalRecipe, read_yaml(path), str(path))


def environment_folder(name: str) -> Path:
    """Where the environment of a recipe is, or would be: one for each set of packages and each Python.

    Raises UserError where the user has no home directory and names no other place.
    """
    parent = Path(place) if (place := os.environ.get(PLACE)) else cache_folder()
    if parent is None:
        raise UserError(f"there is no home directory for environments; set {PLACE} to a folder")
    said = [read_recipe(name).pip, sys.version_info[:2]]
    digest = hashlib.blake2b(json.dumps(said).encode(), digest_size=6).hexdigest()
    return (parent if place else parent / "environments").absolute() / f"{name}-{digest}"


def environment_python(name: str) -> Path:
    """The Python of an environment that was made. Raises UserError where it was not."""
    folder = environment_folder(name)
    if not (folder / READY).exists():
        raise UnfitSystem(
            f"the environment of '{name}' is not made ({folder}); make it by 'cytoshift doctor --make {name}', which "
            f"needs a network{', and then ' + needs if (needs := read_recipe(name).needs) else ''}"
        )
    return python_of(folder)


def python_of(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


class UnfitSystem(UserError):
    """A system that is not installed here, or takes other images: no fault of it, and nothing to compare with."""


def make_environment(name: str, again: bool = False) -> Path:
    """Make the environment of a recipe in the user's cache, if it is not there; return its folder.

    again: one that is there is made anew. Raises UserError where pip fails, with its last lines.
    """
    recipe, folder = read_recipe(name), environment_folder(name)
    if (folder / READY).exists() and not again:
        return folder
    discard(folder)  # of a call that was stopped: an environment cannot be renamed, so its mark is what makes it whole
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"an environment cannot be made in {folder} ({error}); check the disk and this Python"
        ) from error
    python = str(python_of(folder))
    log = folder / "pip.log"
    outcome = run_command([python, "-m", "pip", "install", "--disable-pip-version-check", *recipe.pip], log)
    if outcome != 0:
        said = last_lines(log)
        cause = (
            "there is no network"
            if any(word in log.read_text(errors="replace") for word in NO_NETWORK)
            else "pip failed"
        )
        raise UserError(f"the environment of '{name}' was not made, as {cause}: {said}; the same command tries again")
    listed = subprocess.run(
        [python, "-m", "pip", "freeze"], capture_output=True, text=True, check=False, env=own_environment()
    ).stdout
    about = {"recipe": name, "pip": recipe.pip, "python": sys.version.split()[0], "packages": listed.splitlines()}
    mark = folder / f".{READY}"
    mark.write_text(json.dumps(about, indent=1))
    mark.replace(folder / READY)
    return folder
