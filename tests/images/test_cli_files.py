"""Single files, lists and archives of images through the command line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PIL import Image
from support import RECIPE, Cli, check_error, make_images, one_error

SHORT = [*RECIPE, "--epochs", "1"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Twenty files in two folders, as a shell would name them."""
    monkeypatch.chdir(tmp_path)
    names = []
    for i, image in enumerate(make_images(20, seed=1)[0]):
        path = Path("photos", "even" if i % 2 == 0 else "odd", f"{i:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        names.append(path.as_posix())
    return names


def labels(text: str) -> dict[str, str]:
    """What a CSV of id,label says of each name without its folder."""
    rows = [line.rsplit(",", 1) for line in text.splitlines()[1:]]
    return {Path(name).name: label for name, label in rows}


def test_the_same_images_get_the_same_labels_however_they_are_named(
    cli: Cli, photos: list[str]
) -> None:
    with zipfile.ZipFile("photos.zip", "w") as file:
        for name in photos:
            file.write(name, name.removeprefix("photos/"))
    Path("list.txt").write_text("\n".join(photos))
    ways = {"folder": ["photos"], "zip": ["photos.zip"], "txt": ["list.txt"]}
    ways["files"] = ["photos/even", *photos[1::2]]
    answers = {}
    for run, data in ways.items():
        assert cli("train", *data, *SHORT, "--run", run).code == 0
        result = cli("predict", "--run", run)
        assert result.code == 0, result.err
        answers[run] = labels(result.out)
        assert "gone" not in result.err
    assert len(answers["folder"]) == 20
    assert all(answer == answers["folder"] for answer in answers.values())
    first = [cli("predict", "--run", run, "-q").out.splitlines()[1] for run in ways]
    names = ["even/00.png", "even/00.png", "photos/even/00.png", "even/00.png"]
    assert [row.rpartition(",")[0] for row in first] == names
    # and from one photograph to all of them, known ones keep their label
    few = cli("predict", photos[3], photos[4], "--run", "zip").out
    assert labels(few) == {name: answers["zip"][name] for name in ("03.png", "04.png")}
    one = cli("predict", photos[3], "--run", "zip").out
    assert one == f"id,label\n03.png,{answers['zip']['03.png']}\n"


def test_an_export_takes_images_from_wherever_they_lie(cli: Cli, photos: list[str]) -> None:
    Path("lists").mkdir()
    outside = [f"../{name}" for name in photos[:10]]
    absolute = [f"{Path.cwd()}/{name}" for name in photos[10:]]
    Path("lists/a.txt").write_text("\n".join([*outside, *absolute]))
    assert cli("train", "lists/a.txt", *SHORT).code == 0
    for options in ([], ["--link"]):
        result = cli("export", "out", "--force", *options)
        assert result.code == 0, result.err
        images = sorted(Path("out").rglob("*.png"))
        assert len({path.name for path in images}) == len(images) == 20
        for path in images:
            source = next(name for name in photos if Path(name).name == path.name)
            assert path.read_bytes() == Path(source).read_bytes()
            assert path.is_symlink() is bool(options)


def test_what_lies_in_an_archive_is_copied_and_never_linked(cli: Cli, photos: list[str]) -> None:
    with zipfile.ZipFile("photos.zip", "w") as file:
        for name in photos:
            file.write(name)
    assert cli("train", "photos.zip", *SHORT).code == 0
    check_error(
        cli("export", "out", "--link").error,
        what="the images lie in an archive",
        where="`link`",
        expected="images in a folder",
        mend="leave it out: each is copied",
    )
    assert cli("export", "out").code == 0
    assert len(list(Path("out").rglob("*.png"))) == 20


def test_a_missing_file_among_several_is_named(cli: Cli, photos: list[str]) -> None:
    assert cli("train", *photos, *SHORT).code == 0
    assert cli("cluster").code == 0
    result = cli("predict", photos[0], "photos/gone.png")
    assert one_error(result).startswith(f"{Path.cwd()}/photos/gone.png: there is no such file;")
    result = cli("predict", photos[0], "photos/gone.png", "--skip-bad")
    assert list(labels(result.out)) == ["00.png"]
    assert "left out gone.png: No such file or directory" in result.err


@pytest.mark.parametrize("other", ["demo:scenes", "x.npy", "x.h5::images"])
def test_arrays_and_built_in_sets_stand_alone(cli: Cli, photos: list[str], other: str) -> None:
    check_error(
        cli("train", photos[0], other).error,
        what="it cannot stand beside others",
        where=other,
        expected="one source, or several image files and folders of them",
        mend="name it alone",
    )
