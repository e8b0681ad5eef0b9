"""The pieces of a compiled operation. `graph/compile.py` puts them together."""
