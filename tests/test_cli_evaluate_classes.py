"""`cytoshift evaluate` of several classes in one call: a column for each, and pairs where the truth has them."""

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError

GOLGI, NUCLEI = np.zeros((8, 12), np.uint8), np.zeros((8, 12), np.uint8)
GOLGI[1:3, 1:3], GOLGI[1:3, 8:10], GOLGI[6:8, 5:7] = 3, 5, 8
NUCLEI[3:6, 1:4], NUCLEI[3:6, 8:11] = 3, 5


def run(pred, truth, *more):
    words = ["evaluate", "--pred", pred, "--truth", truth, *more]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(map(str, words)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join(result.output.split())


@pytest.fixture
def folders(tmp_path):
    """Truth, and a prediction with other numbers of which two pairs are said, one of them wrongly."""
    renumber = np.array([0, 0, 0, 2, 0, 1, 0, 0, 3], np.uint8)
    for side, golgi, nuclei in (("truth", GOLGI, NUCLEI), ("pred", renumber[GOLGI], renumber[NUCLEI])):
        for name, labels in (("golgi", golgi), ("nuclei", nuclei)):
            (tmp_path / side / name).mkdir(parents=True)
            for image in "ab":
                tifffile.imwrite(tmp_path / side / name / f"{image}.tif", labels)
    (tmp_path / "pred" / "report").mkdir()
    lines = ["image,class,id,belongs_to,other_id,distance_um"]
    lines += [f"a,golgi,{one},nuclei,{other},0" for one, other in ((1, 1), (2, 1), (3, 0))]
    lines += [f"b,golgi,{one},nuclei,{other},0" for one, other in ((1, 1), (2, 2), (3, 0))]
    (tmp_path / "pred" / "report" / "pairs.csv").write_text("\n".join(lines))
    return tmp_path


def test_one_table_with_a_column_for_each_class(folders):
    out = folders / "numbers.json"
    said = run(folders / "pred", folders / "truth", "--json-file", out)
    assert "golgi nuclei" in said and "true, predicted objects 6, 6 4, 4" in said and "object F1 at IoU 0.5" in said
    numbers = json.loads(out.read_text())
    assert numbers["classes"]["golgi"]["mean"]["f1_50"] == 1 and "pairs" not in numbers
    assert [image["name"] for image in numbers["classes"]["nuclei"]["images"]] == ["a", "b"]


def test_pairs_are_scored_where_the_truth_has_them(folders):
    out = folders / "numbers.json"
    said = run(folders / "pred", folders / "truth", "--pairs", "--json-file", out)
    assert "golgi to nuclei: 3 of 4 pairs right, 4 true ones; precision 0.7500" in said
    assert json.loads(out.read_text())["pairs"]["golgi to nuclei"]["pairs_right"] == 3


def test_wishes_that_do_not_fit_are_one_sentence(folders):
    with pytest.raises(UserError, match="hold none; pass the folders above them"):
        run(folders / "pred" / "golgi", folders / "truth" / "golgi", "--pairs")
    with pytest.raises(UserError, match="--confidence is for objects of one class"):
        run(folders / "pred", folders / "truth", "--confidence", "x.tif")
    table = folders / "pred" / "report" / "pairs.csv"
    table.write_text("image,class\na,golgi\n")
    with pytest.raises(UserError, match="is not a table of pairs that 'cytoshift segment' wrote"):
        run(folders / "pred", folders / "truth", "--pairs")
    table.unlink()
    with pytest.raises(
        UserError, match=r"pairs.csv, which does not exist; pass the folder that 'cytoshift segment' wrote"
    ):
        run(folders / "pred", folders / "truth", "--pairs")
    (folders / "truth" / "axons").mkdir()
    with pytest.raises(UserError, match=r"has labels of the class 'axons', but .* has only golgi, nuclei"):
        run(folders / "pred", folders / "truth")
