"""Folders that a verb fills with files of its own, such as phantoms: of which request they are, and whether complete.

OUT/cytoshift.json has the request of the files. The same request makes them again, so that a stopped command can be
given again; files of another or of an unknown request are replaced only with `overwrite`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.json_files import read_json, write_json
from ..core.provenance import is_own_result

NOTE = "cytoshift.json"


def claim_folder(out: Path, request: dict[str, Any], places: Iterable[Path], overwrite: bool) -> None:
    """Before `places` below `out` are written, under its lock. request: JSON that decides about their content.

    Raises UserError where another file stands at one of them.
    """
    note, wish = out / NOTE, json.loads(json.dumps(request, default=str))
    same = read_json(note) == wish
    if not same and not overwrite:
        for path in places:
            if path.exists() and not is_own_result(path):
                raise UserError(
                    f"{path} already exists, and this command did not write it; pass `overwrite` to replace it or "
                    "another `out`"
                )
    if not same:
        write_json(note, wish)
