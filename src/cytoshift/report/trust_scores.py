"""What `trust` has said of results, for their page: read from the file that lies beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.json_files import read_json
from ..trust.score import weakest_criterion

# Criteria in words; trust/judge.py says what each one is.
COLUMNS = {
    "voted": "votes", "flips": "mirrored", "light": "other light", "scale": "other scale", "overlap": "overlap",
    "sure": "sure", "size": "size", "solidity": "solidity", "contrast": "contrast", "explained": "explained",
}  # fmt: skip
LISTED = 60  # images in the table


def trust_section(account: Path) -> dict[str, Any] | None:
    """What the template shows of an account's results; None if `trust` was not run."""
    single = account.suffix == ".report"
    told = read_json(account.with_suffix(".trust.json") if single else account / "trust.json")
    images = told.get("images", [])
    if not images or "says" not in told:  # of a version that did not sum up
        return None
    columns = [key for key in COLUMNS if any(key in one["criteria"] for one in images)]
    return {
        "says": told["says"], "against": weakest_criterion([one["criteria"] for one in images]),
        "value": f"{told['score']:.2f}" if told["calibrated"] else "none",
        "heads": [COLUMNS[key] for key in columns],
        "rows": [trust_row(one, columns) for one in images[:LISTED]], "unlisted": max(len(images) - LISTED, 0),
        "boxes": any(one.get("boxes") for one in images),
    }  # fmt: skip


def trust_row(one: Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    name = f"{one['image']}, {one['class']}" if "class" in one else one["image"]
    return {
        "name": name, "objects": f"{one['objects']:,}", "score": f"{one['score']:.2f}",
        "range": f"{one['low']:.2f} to {one['high']:.2f}" if one["calibrated"] else "no statement",
        "criteria": [f"{one['criteria'][key]:.2f}" if key in one["criteria"] else "" for key in columns],
    }  # fmt: skip
