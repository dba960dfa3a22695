"""Recipes: everything that decides a result, in one frozen dataclass for each method."""

from aeclust.recipe.bounds import AUTO_K
from aeclust.recipe.fields import (
    FIELDS,
    HDBSCAN,
    LATER,
    REDUCTIONS,
    SPHERE,
    Clusterer,
    Loss,
    Optimizer,
    Precision,
    Recipe,
    choices,
    parse_reduction,
)
from aeclust.recipe.table import DEFAULT_RECIPE, RECIPES, named
from aeclust.recipe.toml import read_toml, to_toml

__all__ = [
    "AUTO_K", "DEFAULT_RECIPE", "FIELDS", "HDBSCAN", "LATER", "RECIPES", "REDUCTIONS", "SPHERE",
    "Clusterer", "Loss", "Optimizer", "Precision", "Recipe", "choices", "named", "parse_reduction",
    "read_toml", "to_toml",
]  # fmt: skip
