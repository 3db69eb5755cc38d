"""Models that a run has left on its way: OUT/snapshots/STEP."""

from pathlib import Path

SNAPSHOTS = "snapshots"


def snapshots(run: Path) -> dict[int, Path]:
    """Those of a run's folder, by their steps, in order; empty where none were kept."""
    folder = run / SNAPSHOTS
    found = folder.iterdir() if folder.is_dir() else ()
    return dict(sorted((int(path.name), path) for path in found if path.name.isdecimal()))
