"""What the site has beyond docs/: the README as its home, and the files that pages link to.

mkdocs.yml names this file among its hooks, and among the extensions that read docstrings.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
HOME = "index.md"
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")  # up to the file's name
CODE = re.compile(r"`[^`\n]+`")
ROLE = re.compile(r":(?:(?:class|func|meth|attr|data):`~?(?:[\w.]+\.)?|mod:`)([\w.]+`)")


def in_repository(file: File) -> str:
    """The path of a page in the repository."""
    return Path(file.abs_src_path or "").relative_to(ROOT).as_posix()


def in_site(path: str) -> str:
    """Where the site has a file of the repository: as it is there, but for those below docs/."""
    return HOME if path == "README.md" else path.removeprefix("docs/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in the README, and everything else that a page links to."""
    files.append(File.generated(config, HOME, abs_src_path=str(ROOT / "README.md")))
    todo = [*files.documentation_pages()]
    while todo:
        page = todo.pop()
        folder = posixpath.dirname(in_repository(page))
        for _, target in LINK.findall(page.content_string):
            path = posixpath.normpath(posixpath.join(folder, target))
            if (ROOT / path).is_file() and files.get_file_from_path(in_site(path)) is None:
                file = File.generated(config, in_site(path), abs_src_path=str(ROOT / path))
                files.append(file)
                todo += [file] if file.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site has them; the home needs no list of pages beside it."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    folder = posixpath.dirname(in_repository(page.file))
    here = posixpath.dirname(page.file.src_uri) or "."

    def changed(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] + posixpath.relpath(in_site(path), here)

    # a table here needs no backslash before the pipes of its code
    return CODE.sub(lambda code: code[0].replace("\\|", "|"), LINK.sub(changed, markdown))


class Docstrings(griffe.Extension):
    """Docstrings as Markdown has them."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Of roles, the names alone, as code."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(r"`\1", obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Fields whose annotation says what they mean, as a table."""
        rows = []
        for field in cls.attributes.values():
            if str(field.annotation).startswith("Annotated["):
                kind, meaning, *_ = field.annotation.slice.elements
                field.annotation = kind
                text = ast.literal_eval(str(meaning)) or field.name
                rows.append(f"{field.name} : {kind}\n    {text}")
        if rows and cls.docstring:
            cls.docstring.value += "\n\nAttributes\n----------\n" + "\n".join(rows)
