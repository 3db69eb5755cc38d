"""The pages: what they take from the code is all there, the commands they show exist, their links lead somewhere."""

import importlib
import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from cytoshift.methods import METHODS, TWO_STAGES
from cytoshift.train.run_settings import Run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.relative_to(DOCS).parts))
SCRIPTS = sorted(p for p in (DOCS / "tutorials").glob("*.sh") if p.name != "tutorial.sh")
WRITTEN = [ROOT / "README.md", *PAGES, *SCRIPTS]
FENCE = re.compile(r"^( *)(`{3,})(.*?)\n(.*?)^\1\2", re.MULTILINE | re.DOTALL)

as_name = lambda path: str(path.relative_to(ROOT))


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "tools")


@cache
def tool(name: str):
    return importlib.import_module(name)


@cache
def generated() -> dict[str, str]:
    return tool("generate").everything()


def commands(path: Path) -> list[list[str]]:
    """Every command of cytoshift in a script, or in the blocks of a page, as a shell would split it.

    Blocks that are no script have a prompt before their commands.
    """
    text = path.read_text()
    blocks = [("bash", text)] if path.suffix == ".sh" else [(kind, body) for _, _, kind, body in FENCE.findall(text)]
    asked = [
        body if kind == "bash" else "\n".join(re.findall(r"^ *\$ (?:[^\n]*\\\n)*.*", body, re.M))
        for kind, body in blocks
    ]
    lines = "\n".join(asked).replace("\\\n", " ").splitlines()
    begun = (re.match(r"\s*(?:\$ )?(cytoshift [a-z].*)", line) for line in lines)
    words = [shlex.split(hit.group(1), comments=True) for hit in begun if hit and "()" not in hit.group(1)]
    return [part for line in words for part in parts(line) if part[0] == "cytoshift"]


def parts(words: list[str]) -> list[list[str]]:
    """`a && b` is two."""
    out: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "|", ";"):
            out.append([])
        else:
            out[-1].append(word)
    return [part for part in out if part]


@pytest.mark.parametrize("path", WRITTEN, ids=as_name)
def test_every_command_in_a_block_is_understood(path):
    known = tool("verbs").commands()
    for _, verb, *given in commands(path):
        assert verb in known, f"no verb {verb}"
        known[verb].make_context(verb, list(given))  # raises where an option does not exist or an argument is missing


@pytest.mark.parametrize("path", WRITTEN, ids=as_name)
def test_every_command_in_a_line_of_text_has_verbs_and_options_that_exist(path):
    if path.suffix == ".sh":
        return
    known = tool("verbs").commands()
    for line in re.findall(r"(?<!`)`cytoshift ([a-z][^`]*)`", FENCE.sub("", path.read_text())):
        verb, *given = line.split()
        assert verb in known, f"no verb {verb}"
        options = {name for param in known[verb].params for name in param.opts}
        assert {word for word in given if re.match(r"--?[a-z]", word)} <= options | {"--help"}, line


def test_the_commands_are_found_at_all():
    assert len(commands(ROOT / "README.md")) > 10
    assert ["cytoshift", "train", "run.yaml", "train.steps=600"] in commands(DOCS / "tutorials" / "no-labels-2d.sh")
    assert all(commands(script) for script in SCRIPTS)


def test_the_page_of_the_command_line_has_every_verb_and_every_option():
    page = generated()["cli.md"]
    for verb, command in tool("verbs").commands().items():
        part = page.partition(f"(verb-{verb})=")[2].partition("(verb-")[0]
        assert part, f"no part about {verb}"
        for param in (one for one in command.params if not getattr(one, "hidden", False)):
            assert (param.metavar or param.opts[-1]) in part, f"{verb} {param.opts}"


def test_the_page_of_settings_has_every_group_and_every_setting():
    page = generated()["settings.md"]
    for kind in tool("schema").reached(Run):
        part = page.partition(f"(settings-{kind.__name__.lower()})=")[2].partition("(settings-")[0]
        assert all(f"\n`{name}`\n" in part for name in kind.model_fields), kind.__name__


def test_what_the_docstrings_say_of_settings_is_found():
    said = tool("prose").meanings(Run)
    assert said["method"] == "Its name, as adgan, or that of a recipe of two stages."
    silent = {name for kind in tool("schema").reached(Run) for name, words in tool("prose").meanings(kind).items()
              if not words} - {"kind"}  # fmt: skip
    assert len(silent) < 15, silent


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_page_with_its_equations_lines_presets_and_citation(method):
    text = (DOCS / "methods" / f"{method}.md").read_text()
    assert "$$" in text and f":pyobject: {METHODS[method].__name__}.step" in text
    for part in ("presets", "options", "cite"):
        assert f"../generated/parts/{part}-{method}.md" in text
    presets = generated()[f"parts/presets-{method}.md"]
    assert all(name in presets for name in METHODS[method].presets)
    options = generated()[f"parts/options-{method}.md"]
    assert all(f"`{name}`" in options for name in METHODS[method].settings.model_fields)
    assert "@" in generated()[f"parts/cite-{method}.md"]


def test_every_recipe_is_named():
    text = (DOCS / "methods" / "two-stages.md").read_text()
    assert all(f"`{name}`" in text for name in TWO_STAGES)


def test_the_schema_has_every_setting_and_the_options_of_every_method():
    schema = json.loads(generated()["files/schema/run.schema.json"])
    assert set(schema["properties"]) == set(Run.model_fields)
    assert schema["properties"]["seed"]["description"] == "Another number is another training."
    named = lambda one: one["if"]["properties"]["method"]["const"]
    by_method = {named(one): one["then"]["properties"]["options"] for one in schema["allOf"]}
    assert set(by_method) == {*METHODS, *TWO_STAGES} == set(schema["properties"]["method"]["enum"])
    for method, kind in METHODS.items():
        name = by_method[method]["$ref"].removeprefix("#/$defs/")
        assert set(schema["$defs"][name]["properties"]) == set(kind.settings.model_fields)
    refs = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert refs <= set(schema["$defs"])


@pytest.mark.parametrize("path", PAGES, ids=as_name)
def test_links_and_inclusions_lead_somewhere(path):
    text = path.read_text()
    prose = re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose):
        if not re.match(r"https?:|mailto:", target):
            follow(path, target)
    for place in re.findall(r"^ *`{3,}\{(?:literalinclude|include|image)\} (\S+)", text, re.MULTILINE):
        assert (path.parent / place).exists() or known(path, place) in generated(), f"{path.name}: {place}"


def follow(page: Path, target: str) -> None:
    """Fails where a link ends nowhere."""
    place, _, fragment = target.partition("#")
    here = known(page, place) if place else ""
    text = page.read_text() if not place else generated().get(here)
    if text is None:
        assert (page.parent / place).exists(), f"{page.name}: {target}"
        text = (page.parent / place).read_text() if place.endswith(".md") else ""
    if fragment:
        slugs = {slug(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        everywhere = "\n".join([text, *generated().values()])
        assert fragment in slugs | set(re.findall(r"^\((\S+)\)=$", everywhere, re.MULTILINE)), f"{page.name}: {target}"


def known(page: Path, place: str) -> str:
    """The name of a place below docs/generated."""
    whole = (page.parent / place).resolve()
    folder = (DOCS / "generated").resolve()
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else ""


def slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_shows_what_its_script_does_and_keeps(script):
    page, text = script.with_suffix(".md").read_text(), script.read_text()
    shown = re.findall(r':start-after: "# \[(\w+)\]"', page)
    assert shown and set(shown) == set(re.findall(r"^# \[(\w+)\]$", text, re.MULTILINE)) - {"end"}
    kept = set(re.findall(r"^keep .+ (\S+\.jpg)$", text, re.MULTILINE))
    printed = [command[1] for command in commands(script)]
    for name in re.findall(rf"\{{made\}} {script.stem}/(\S+)", page):
        verb, number = re.fullmatch(r"(.+?)(?:-(\d))?\.\w+", name).groups()
        assert name in kept or (name.endswith(".txt") and printed.count(verb) >= int(number or 1)), name


def test_equations_are_drawn_and_what_cannot_be_is_refused():
    for name in ("latex2mathml", "sphinx"):  # of the extra `docs`
        pytest.importorskip(name)
    drawn = tool("mathml").drawn
    equations = [one for path in PAGES for one in re.findall(r"\$\$(.+?)\$\$", path.read_text(), re.DOTALL)]
    assert len(equations) > 15 and all(drawn(one, "block").startswith("<math") for one in equations)
    with pytest.raises(ValueError, match="aligned"):
        drawn(r"\begin{aligned} a &= b \end{aligned}", "block")


def test_settings_that_the_pages_show_are_settings():
    """As `train.steps=500` and `prior.clustering`."""
    text = "".join(path.read_text() for path in PAGES if path.name != "architecture.md")  # which names modules
    told = re.findall(r"`?\b((?:train|options|source|data|represent|prior)\.(?!py\b)\w+)[=`:]", text)
    groups = {"train": "Train", "source": "Source", "data": "Data", "prior": "Prior"}
    defs = json.loads(generated()["files/schema/run.schema.json"])["$defs"]
    every = {name for one in defs.values() for name in one.get("properties", {})} | set(tool("schema").OPTIONS)
    for name in set(told):
        group, _, key = name.partition(".")
        assert key in (defs[groups[group]]["properties"] if group in groups else every), name


def test_every_number_that_decides_results_says_what_it_is():
    """Its unit, and why it is so large, in a comment: the page of constants shows them."""
    found = tool("constants").everywhere()
    assert len(found) > 250 and [f"{one.file}: {one.name}" for one in found if not one.reason] == []
    assert "`TOLERANCE`" in generated()["constants.md"]


def test_lines_of_the_readme_fit_a_terminal():
    long = [
        f"{n}: {line}" for n, line in enumerate((ROOT / "README.md").read_text().splitlines(), 1) if len(line) > 120
    ]
    assert not long, "\n".join(long)
