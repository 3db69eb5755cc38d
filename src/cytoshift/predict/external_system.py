"""What is run of a recipe or of a user's own command, for given images: its words, and the values in them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..core.errors import UserError
from ..data.volumes import Volume
from .external_command import parse_command
from .external_recipes import UnfitSystem, environment_python, read_recipe


@dataclass(frozen=True)
class ExternalSystem:
    """command: words of a template. values: of its words that are known already. origin: what decides about results."""

    command: list[str]
    values: dict[str, str]
    origin: dict[str, Any]

    @property
    def needs_diameter(self) -> bool:
        return any("{diameter}" in word for word in self.command)

    def with_diameter(self, voxels: float) -> "ExternalSystem":
        """The same, for objects of this median diameter in voxels (the finest side)."""
        value = f"{voxels:.4g}"
        return ExternalSystem(self.command, self.values | {"diameter": value}, self.origin | {"diameter": value})


@contextlib.contextmanager
def open_system(
    recipe: str | None, command: str | Sequence[str] | None, volumes: Sequence[Volume]
) -> Iterator[ExternalSystem]:
    """A recipe whose environment is made, or a command of the user, ready for these images.

    Raises UserError where there is neither or both, where the environment is not made, and where the recipe does not
    take images of these dimensions.
    """
    if (recipe is None) == (command is None):
        raise UserError("a system is a `recipe` or a `command`; give one of them")
    if recipe is None:
        assert command is not None, "one of them is given"
        words = parse_command(command)
        yield ExternalSystem(words, {}, {})
        return
    about, ndim = read_recipe(recipe), len(volumes[0].axes)
    if ndim not in about.ndim:
        raise UnfitSystem(
            f"'{recipe}' takes images of {' or '.join(f'{n}D' for n in about.ndim)}, these are {ndim}D; take another"
        )
    python = environment_python(recipe)
    with TemporaryDirectory(prefix="cytoshift-recipe-") as place:
        script = Path(place) / "run.py"
        script.write_text(about.script)
        values = {"python": str(python), "script": str(script)}
        yield ExternalSystem(about.command, values, {"recipe": recipe, "pip": about.pip, "script": about.script})
