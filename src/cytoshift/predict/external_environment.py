"""An environment for a system of others: made by pip beside ours, whole or not at all."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from ..core.atomic import discard
from ..core.errors import UserError
from .external_command import last_lines, own_environment, run_command
from .external_recipes import READY, environment_folder, python_of, read_recipe

NO_NETWORK = (
    "NameResolutionError",
    "NewConnectionError",
    "Network is unreachable",
    "Could not fetch URL",
    "ProxyError",
)


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
