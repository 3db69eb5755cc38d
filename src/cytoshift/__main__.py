"""python -m cytoshift: the command line."""

from .cli.main import main

main()
