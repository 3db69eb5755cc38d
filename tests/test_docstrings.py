"""What docstrings say is true, and those of the public API say enough: sections, and an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import numpy as np
import pytest

import cytoshift
from cytoshift.core.settings import Settings
from cytoshift.methods import METHODS

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(cytoshift.__path__, "cytoshift.")
    if not found.name.startswith("cytoshift.napari") and not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_show(name):
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, extraglobs={"np": np}, optionflags=flags).failed == 0


def reference():
    sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "tools"))
    return importlib.import_module("docstrings")


def shown():
    """Every function and class of the generated reference by its name, with the public methods of classes."""
    tool = reference()
    for name, member in [*tool.exported(), *(one for each in tool.blocks().values() for one in each)]:
        yield name, member
        for inner, method in vars(member).items() if inspect.isclass(member) else ():
            function = getattr(method, "__func__", method)
            if inspect.isfunction(function) and not inner.startswith("_") and tool.parse(function.__doc__)[1]:
                yield f"{name}.{inner}", function


def lacks(name, member):
    """The sections that a docstring needs and does not have."""
    tool = reference()
    lead, sections = tool.parse(member.__doc__)
    wanted = set() if lead else {"a summary"}
    settings = inspect.isclass(member) and issubclass(member, Settings)
    if inspect.isclass(member):
        wanted |= {"Parameters"} if not settings and "Attributes" not in sections else set()
    else:
        taken = [one for one in inspect.signature(member).parameters if one not in ("self", "cls")]
        wanted |= ({"Parameters"} if taken else set()) | {"Returns"}
        told = {word.strip("* ") for term, _ in tool.items(sections.get("Parameters", "")) for word in term.split(",")}
        wanted |= {f"what `{one}` is" for one in taken if one not in told}
        if "UserError(" in inspect.getsource(member):
            wanted.add("Raises")
    if name in {one for one, _ in tool.exported()} and not settings:
        wanted.add("Examples")
    if name.startswith(("cytoshift.losses", "cytoshift.metrics")) and not inspect.isclass(member):
        wanted.add("Examples")
    if inspect.isclass(member) and member in METHODS.values():
        wanted |= {"References", "Examples"}
    return sorted(wanted - sections.keys())


def test_docstrings_of_the_reference_have_their_sections():
    found = [f"{name}: {', '.join(missing)}" for name, member in shown() if (missing := lacks(name, member))]
    assert not found, "\n".join(found)


def test_a_missing_section_is_found():
    def bare(x, y):
        """A summary alone."""

    def half(x, y):
        """Summary.

        Parameters
        ----------
        x
            One.

        Returns
        -------
        int
            Two.
        """

    assert lacks("bare", bare) == ["Parameters", "Returns", "what `x` is", "what `y` is"]
    assert lacks("half", half) == ["what `y` is"] and lacks("cytoshift.losses.half", half)[0] == "Examples"
