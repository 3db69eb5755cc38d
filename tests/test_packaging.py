"""What people install, cite and release agrees with what the project says of itself."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import cytoshift
from cytoshift.cli.main import app

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def script(name: str):
    """A file beside the package, as a module."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_").removesuffix(".py"), ROOT / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["version"] == cytoshift.__version__ and cited["license"] == PROJECT["license"]


def test_the_changelog_becomes_the_notes_of_a_release():
    notes = script(".ci/notes.py").notes
    assert notes("# Changelog\n\n## 0.2.0\n\n- new\n\n## 0.1.0 (May)\n\n- old\n", "0.1.0") == "- old"
    assert notes((ROOT / "CHANGELOG.md").read_text(), cytoshift.__version__)
    with pytest.raises(SystemExit, match=r"says nothing about 9\.9\.9; add a section"):
        notes("## 0.1.0\n\n- old\n", "9.9.9")


def test_links_and_pictures_of_the_page_on_pypi_lead_somewhere_or_are_none():
    page = script("hatch_build.py").page
    readme = (ROOT / "README.md").read_text()
    targets = re.compile(r"\]\(([^)]+)\)")
    relative = [target for target in targets.findall(readme) if not target.startswith("http")]
    assert len(relative) > 5 and all((ROOT / target).exists() for target in relative)
    shown = targets.findall(page(readme, "https://example.org/cytoshift/", "v1"))
    assert shown and all(target.startswith("https://") for target in shown)
    assert "![Images, their segmentation and the truth" in page(readme, "https://example.org/cytoshift", "v1")
    assert "(https://example.org/cytoshift/raw/v1/docs/overview.png)" in page(
        readme, "https://example.org/cytoshift", "v1"
    )
    assert not targets.findall(page(readme, None, "v1"))


def test_every_verb_is_walked_where_cytoshift_is_installed():
    walk = script(".ci/walk.py")
    assert {*walk.AFTER, "Labels from nothing", "Your images"} <= set(walk.sections())
    commands = [*(line for block in walk.sections().values() for line in block), *walk.OTHERS.strip().splitlines()]
    verbs = {command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert {command.split()[1] for command in commands} | {"synth"} == verbs  # synth makes the images


def test_every_requirement_has_a_lower_bound_that_is_installed_by_make_lowest():
    lowest = script(".ci/lowest.py")
    pins = [Requirement(pin) for pin in lowest.lowest([])]
    wanted = [Requirement(requirement) for requirement in PROJECT["dependencies"]]
    assert [pin.name for pin in pins] == [one.name for one in wanted]
    assert all(one.specifier.contains(next(iter(pin.specifier)).version) for one, pin in zip(wanted, pins))
    with pytest.raises(SystemExit, match="'zarr' has no lower bound"):
        lowest.pin("zarr")


def test_bounds_that_lied_stay_mended():
    """tifffile 2025.5.10 fails with zarr 3.0.8; typer below 0.18 fails in --help with click 8.5."""
    bound = {r.name: Version(next(iter(r.specifier)).version) for r in map(Requirement, PROJECT["dependencies"])}
    assert bound["tifffile"] >= Version("2025.5.21") and bound["typer"] >= Version("0.18")


def test_the_container_gets_what_it_copies():
    copied = [word for line in re.findall(r"^COPY (.+)$", (ROOT / "Dockerfile").read_text(), re.M)
              for word in line.split()[:-1]]  # fmt: skip
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied and set(copied) == let_in and all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_run_what_is_there(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    ran = "\n".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)
    files = re.findall(r"\.ci/[\w.]+", ran)
    targets = re.findall(r"make (\w+)", ran)
    assert files and all((ROOT / file).exists() for file in files)
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets)
