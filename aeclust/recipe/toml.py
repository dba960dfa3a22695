"""A recipe as a flat TOML file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from aeclust.errors import near_file, unreadable
from aeclust.recipe.bounds import AUTO_K
from aeclust.recipe.fields import ANNOTATIONS, FIELDS, Recipe, choices


def read_toml(file: Path) -> dict[str, Any]:
    """Recipe fields, and ``recipe`` for the one to start from, from a flat TOML file."""
    try:
        if file.stat().st_size > 1 << 20:
            raise OSError("larger than 1 MB")
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(
            error,
            where=str(file),
            expected="TOML with one recipe field a line",
            mend=near_file(
                file, "check the path" if isinstance(error, FileNotFoundError) else "correct it"
            ),
        ) from error


def to_toml(recipe: Recipe) -> str:
    """Every field as TOML with a comment; :func:`read_toml` reads it back to an equal recipe."""
    lines = [f'recipe = "{recipe.name}"  # where the fields below come from']
    for name, value in recipe.to_json().items():
        if name == "name":
            continue
        value = "auto" if (name, value) == ("k", AUTO_K) else value
        options = "" if FIELDS[name] is bool else " | ".join(choices(name))
        comment = "; ".join(filter(None, (ANNOTATIONS[name].__metadata__[0], options)))
        # JSON writes the texts, numbers, booleans and lists of a recipe as TOML does, but where it
        # escapes a character beyond 16 bits
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"{name} = {text}" + (f"  # {comment}" if comment else ""))
    return "\n".join(lines) + "\n"
