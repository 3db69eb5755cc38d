"""The house itself: light to open, honest about what it needs and what it offers."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cytoshift
from cytoshift import represent
from cytoshift.methods import METHODS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cytoshift"
HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "skimage",
    "numba",
    "matplotlib",
    "pydantic",
    "lightning_fabric",
    "tifffile",
    "zarr",
}


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


LOADED = "import sys; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"


@pytest.mark.parametrize("module", ["cytoshift", "cytoshift.cli.main"])
def test_opening_the_package_or_the_command_line_loads_nothing_heavy(module):
    assert HEAVY.isdisjoint(python(f"import {module}; {LOADED}").split())


def test_help_loads_nothing_heavy():
    code = "import sys; sys.argv = ['cytoshift', '--help']\nfrom cytoshift.cli.main import main\n" + (
        f"try: main()\nexcept SystemExit: pass\n{LOADED}"
    )
    *help_text, loaded = python(code).splitlines()
    assert "Start here:" in help_text and HEAVY.isdisjoint(loaded.split())


@pytest.mark.parametrize("name", cytoshift.__all__)
def test_every_name_of_the_python_api_leads_somewhere(name):
    offered = getattr(cytoshift, name)
    assert name in dir(cytoshift)
    assert name == "__version__" or (callable(offered) and offered.__doc__)


def test_a_name_that_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'cytoshift' has no attribute 'segmemt'"):
        cytoshift.segmemt  # noqa: B018


def test_the_code_that_the_readme_shows_runs_on_names_that_exist():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        used = {
            node.attr
            for node in ast.walk(ast.parse(block))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cytoshift"
        }
        assert used <= set(cytoshift.__all__)


def test_the_verbs_that_the_readme_shows_exist_and_none_is_kept_from_it():
    from cytoshift.cli.main import app

    shown = set(re.findall(r"^(?:\| `|\$ )?cytoshift ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert shown == {command.callback.__name__.replace("_", "-") for command in app.registered_commands}


def test_the_changelog_knows_this_version():
    assert f"## {cytoshift.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def distribution(name: str) -> str:
    """The spelling that package indexes compare by."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, list[str]]:
    """Distributions by the part of the project that asks for them; "" is the required set."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {part: [distribution(Requirement(r).name) for r in names] for part, names in groups.items()}


def imported() -> set[str]:
    """Top-level modules that the source imports anywhere and that are neither ours nor Python's."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).partition(".")[0])
    return found - sys.stdlib_module_names - {"cytoshift"}


def test_what_the_source_imports_is_declared():
    installed = metadata.packages_distributions()
    known = {name for names in declared().values() for name in names}
    # A module of an extra need not be installed: then its distribution is expected to carry its name.
    needed = {module: {distribution(d) for d in installed.get(module, [module])} for module in imported()}
    assert {module for module, names in needed.items() if not names & known} == set()


def test_what_is_required_is_imported():
    installed = metadata.packages_distributions()
    used = {distribution(name) for module in imported() for name in installed.get(module, [])}
    assert set(declared()[""]) - used == set()


def test_what_is_required_is_pinned_for_those_who_want_what_was_tested():
    pinned = {
        distribution(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    assert {name for names in declared().values() for name in names} <= pinned


def test_nothing_required_forbids_use_in_closed_work():
    seen: set[str] = set()
    todo = list(declared()[""])
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        about = metadata.metadata(name)
        licence = [about.get("License-Expression") or "", *(about.get_all("Classifier") or [])]
        assert not re.search(r"(?<!L)GPL", " ".join(licence)), name
        for need in map(Requirement, metadata.requires(name) or []):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                todo.append(distribution(need.name))


# Flags of other programs, and files in formats of their own.
FOREIGN = ("docker run --shm-size", "cytoshift segment MODEL", "cytoshift bench --page", "cytoshift doctor --make")


def sentences(path: Path) -> list[str]:
    """Texts of a module but its docstrings, those of f-strings in one piece, their values left out."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    hidden = {
        id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and isinstance(n.body[0], ast.Expr)
    }
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden:
            texts.append(node.value)
    return texts


def test_no_sentence_below_the_command_line_names_a_flag():
    """A setting is named as Python has it, `axes`; cli/commands.py puts flags in the place of such names."""
    told = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0]
        if room in ("cli", "napari"):
            continue
        found = [text for text in sentences(path) if re.search(r"\w\W* (--[a-z{]|-o\b)", text)]
        if named := [text for text in found if not any(known in text for known in FOREIGN)]:
            told[path.name] = named
    assert told == {}


def test_the_command_line_names_flags_in_the_place_of_settings(tmp_path, monkeypatch, capsys):
    import numpy as np

    from cytoshift.cli.main import main

    np.save(tmp_path / "a.npy", np.zeros((5, 40, 40), np.uint8))
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (["info", "a.npy"], "not in its metadata; pass --axes zyx (or tyx, cyx, yxs)"),
        (["info", "a.npy", "--axes", "zyx", "--voxel", "2,1,1"], "has no unit; add --unit um (or nm, px)"),
        (["info", "a.npy", "--axes", "cyx"], "pass --channel with one of 0, 1, 2, 3, 4"),
    ):
        monkeypatch.setattr("sys.argv", ["cytoshift", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2 and said in capsys.readouterr().err


def strings_of(path: Path) -> list[tuple[int, str]]:
    """String literals of a module with their lines, docstrings and parts of f-strings left out."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    left_out = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.Expr):
            left_out.add(id(node.value))
    return [
        (node.lineno, node.value)
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out
    ]


def test_the_name_of_a_method_stands_in_its_own_file():
    """Elsewhere it is `ADGAN.name`, in sentences too. Left out: the help of `new`, which is there before the methods
    are loaded; presets; and demos, which are named after the methods that they show."""
    words = re.compile(rf"(?<![\w.-])({'|'.join(METHODS)})(?![\w-]|\.\w)")
    found = [
        f"{path.relative_to(SOURCE)}: {text}"
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "methods" and not path.name.startswith("demo") and path != SOURCE / "cli" / "new.py"
        for text in sentences(path)
        # A group of settings that has the name of the method which reads it.
        if words.search(text.replace("`randomised`", "").replace("change randomised.", ""))
    ]
    assert not found, "\n".join(found)
    for name, kind in METHODS.items():
        assert [p.stem for p in (SOURCE / "methods").glob("*.py") if name in {s for _, s in strings_of(p)}] == [
            kind.__module__.rpartition(".")[2]
        ]


def test_the_help_of_new_names_all_methods():
    from cytoshift.methods import TWO_STAGES, CycleGAN

    (text,) = [value for _, value in strings_of(SOURCE / "cli" / "new.py") if value.startswith("adgan, ")]
    assert set(re.findall(r"[\w-]+", text)) >= {*METHODS, *TWO_STAGES} - {CycleGAN.name}  # which is half of a recipe


def test_what_a_representation_is_nobody_asks_outside_its_room():
    """A representation says what others want to know of it; no class of it is told apart elsewhere."""
    kinds = {name for name in dir(represent) if isinstance(kind := getattr(represent, name), type)
             and issubclass(kind, represent.Representation)}  # fmt: skip
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)}"
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "represent"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass", "type"))
        or isinstance(node, ast.Compare | ast.MatchClass)
        if kinds & {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        or kinds & {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    ]
    assert len(kinds) > 5 and not found, "\n".join(found)


def test_what_a_process_remembers_is_listed_on_the_page_of_the_architecture():
    """Caches and collections of modules that are filled later on; and nobody reaches into another object's cache."""
    page = (
        (ROOT / "docs" / "architecture.md")
        .read_text()
        .partition("## State that outlives a call")[2]
        .partition("## ")[0]
    )
    for path in SOURCE.rglob("*.py"):
        text, tree = path.read_text(), ast.parse(path.read_text())
        assert "__dict__" not in text, path
        kept = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
            for one in node.decorator_list if re.match(r"(functools\.)?(lru_)?cache\b", ast.unparse(one))
        } | {
            ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target) for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            and re.fullmatch(r"\{\}|\[\]|(set|dict|list|Weak\w+)(\[.*\])?\(\)", ast.unparse(node.value))
        }  # fmt: skip
        if kept:
            assert str(path.relative_to(SOURCE)) in page, f"{path}: {kept}"


def test_rooms_log_what_they_have_to_say_and_print_nothing():
    printed = {
        f"{path.name}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in ("cli", "napari")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        and not any(word.arg == "file" and ast.unparse(word.value) != "sys.stderr" for word in node.keywords)
    }  # fmt: skip
    assert printed == set()


PARTICIPLES = (
    "above|absolute|active|alone|along|apart|around|asked|back|before|begun|below|beside|best|between|born|chosen|"
    "classical|constant|dark|deepest|drawn|few|finer|finest|finite|found|given|gone|grown|halfway|held|hidden|inside|"
    "joint|kept|known|last|later|lazy|left|lent|live|lost|lower|made|many|most|one|only|orthogonal|outside|own|"
    "plausible|proven|quick|ready|relative|remote|said|same|seen|seldom|sent|several|short|shown|single|spatial|"
    "spread|taken|taught|together|told|tunable|untold|upward|whole|within|won|written|wrong"
)
# Methods whose settings have this name, a question with yes or no, and words that only end like a participle.
SPARED = {"Randomised", "Supervised", "WorkersDied", "Classical", "passed", "unordered", "unused", "embed", "speed"}
SAME_THING = {"__init__.py", "base.py"}  # `base` is the contract of a family: of methods, of representations


def test_names_of_functions_and_classes_say_what_they_do_or_are():
    """A bare participle or adjective says neither, and nobody can search for it."""
    bare = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and re.fullmatch(rf"{PARTICIPLES}|[a-z]+ed", node.name.lower())
        and node.name not in SPARED
    ]
    assert not bare


def test_no_two_modules_share_a_file_name():
    """A verb's file has the name of the verb, whose work may stand in a module of this name."""
    names = [path.name for path in SOURCE.rglob("*.py") if path.parent.name != "cli" and path.name not in SAME_THING]
    assert {name for name in names if names.count(name) > 1} == set()
