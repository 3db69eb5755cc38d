"""What the pages show is what their commands print."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def pages(monkeypatch):
    """benchmarks/large_page.py, which writes them."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import large_page

    return large_page


def test_plans_on_the_page_are_those_that_the_commands_print(pages):
    text = (ROOT / "docs" / "cluster.md").read_text()
    assert len(pages.PROMPT.findall(text)) == 4 and "breaks     1." in text
    assert pages.printed(text) == text, "run python benchmarks/large_page.py"


def test_a_page_is_made_of_what_benchmarks_leave(pages, tmp_path, monkeypatch):
    import record

    monkeypatch.setattr("sys.argv", ["benchmarks/bench_grow.py", "--side", "64"])
    rows = [{"times": n, "of_budget": 0.5, "nanoseconds": 900.0 / n, "block": [64, 128]} for n in (1, 2)]
    record.conclude(tmp_path / "grow.json", {"memory": "2GB", "rows": rows}, [record.Wanted("peak", 0.5, most=1.0)])
    with pytest.raises(SystemExit) as end:
        record.conclude(tmp_path / "stitch.json", {"rate": 9.0}, [record.Wanted("rate", 9.0, least=10.0)])
    assert end.value.code == 1
    text = pages.page(tmp_path, tmp_path / "pictures")
    assert "$ python benchmarks/bench_grow.py --side 64\n" in text and "| 2 | 0.5 | 450 | 64 x 128 |" in text
    assert "- met: peak 0.5, wanted at most 1" in text and "- **missed**: rate 9, wanted at least 10" in text
    assert (tmp_path / "pictures" / "large-grow.png").is_file() and "Throughput" not in text
