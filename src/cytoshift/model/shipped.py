"""Models that come with the package, each known by its name: a folder like that of any trained model."""

from pathlib import Path

FOLDER = Path(__file__).with_name("shipped")
JSON = "model.json"


def model_names() -> tuple[str, ...]:
    """Their names.

    >>> "nuclei-2d" in model_names()
    True
    """
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{JSON}")))


def model_folder(model: Path | str) -> Path:
    """The folder of a model: the path itself, or that of a shipped model of this name where there is no such path."""
    path = Path(model)
    if not path.exists() and str(model) in model_names():
        return FOLDER / str(model)
    return path
