"""Hand-crafted features: 164 statistics of 41 frame-level values, and an extended set.

names, matrix, failed = features.extract([features.Item(path) for path in paths], cache=folder)
features.write("features.parquet", {"path": paths}, names, matrix)  # if none failed
"""

from .extract import Item, extract
from .table import EXTENDED, RECIPE, SETS, Feature, columns
from .tabular import Table, read, write

__all__ = ["EXTENDED", "RECIPE", "SETS", "Feature", "Item", "Table", "columns", "extract", "read", "write"]
