"""The command line: `luthier`, also `python -m luthier`."""
