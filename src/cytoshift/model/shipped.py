"""Models that come with the package, each known by its name: a folder like that of any trained model."""

from pathlib import Path

FOLDER = Path(__file__).with_name("shipped")
JSON, WEIGHTS = "model.json", "weights.safetensors"


def model_names() -> tuple[str, ...]:
    """Their names.

    >>> "nuclei-2d" in model_names()
    True
    """
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{JSON}")))


def model_folder(model: Path | str) -> Path:
    """The folder of a model: the path itself, or that of a shipped model of this name where no model lies there."""
    path = Path(model)
    if str(model) in model_names() and not any((path / name).exists() for name in (JSON, WEIGHTS)):
        return FOLDER / str(model)
    return path


def nuclei_model(ndim: int) -> str:
    """The name of the model for nuclei in images of so many dimensions.

    >>> nuclei_model(2)
    'nuclei-2d'
    """
    return f"nuclei-{ndim}d"
