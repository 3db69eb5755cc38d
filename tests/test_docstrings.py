"""What docstrings say is true, and those of the public API say enough: sections, and an example that runs."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import cytoshift

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
