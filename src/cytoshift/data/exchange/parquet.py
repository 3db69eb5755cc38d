"""Tables of objects as Parquet, a part at a time."""

from pathlib import Path
from typing import Any

from ...core.atomic import atomic_path
from ...core.errors import UserError
from ...core.text import unescape_cell

TEXTS = ("image", "class", "unit", "belongs_to")
COUNTS = ("label", "id", "other_id", "touches_border", "bbox-")  # whole numbers; whatever begins like one of these


def write_parquet(table: Path, path: Path) -> Path:
    """Write a table that `cytoshift segment` wrote as Parquet: the same names; texts, whole numbers and floats.

    Parameters
    ----------
    table
        objects.csv, of any size.
    path
        The file that is written.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    UserError
        Where pyarrow is missing, and for what is no such table.

    Examples
    --------
    >>> import tempfile
    >>> from cytoshift.data.exchange.parquet import write_parquet
    >>> place = Path(tempfile.mkdtemp())
    >>> _ = (place / "a.csv").write_text("image,label,area\\na,1,2.5\\n")
    >>> write_parquet(place / "a.csv", place / "a.parquet").name  # doctest: +SKIP
    'a.parquet'
    """
    try:
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(
            "Parquet is written with the package pyarrow; install it with: pip install 'cytoshift[parquet]'"
        ) from error
    try:
        with table.open(encoding="utf-8") as file:
            names = file.readline().rstrip("\r\n").split(",")
        if names[0] != "image":
            raise ValueError("its first column is not 'image'")
        kinds = {name: column_type(pa, name) for name in names}
        options = pyarrow.csv.ConvertOptions(column_types=kinds, strings_can_be_null=False)
        with pyarrow.csv.open_csv(table, convert_options=options) as parts, atomic_path(path) as beside:
            schema = pa.schema([(name, kinds[name]) for name in names])
            with pyarrow.parquet.ParquetWriter(beside, schema) as out:
                for part in parts:
                    columns = [plain_text(pa, part.column(n)) for n in range(part.num_columns)]
                    out.write_batch(pa.record_batch(columns, schema=schema))
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, ValueError) as error:
        raise UserError(
            f"{table} is not a table that 'cytoshift segment' wrote ({error}); pass a table such as "
            "OUT/report/objects.csv"
        ) from error
    return path


def column_type(pa: Any, name: str) -> Any:
    """Of a column with that name."""
    if name in TEXTS:
        return pa.string()
    return pa.int64() if name.startswith(COUNTS) else pa.float64()


def plain_text(pa: Any, column: Any) -> Any:
    """Texts without what keeps a spreadsheet from taking them for a formula; numbers as they are."""
    if not pa.types.is_string(column.type):
        return column
    return pa.array([unescape_cell(word) for word in column.to_pylist()], pa.string())
