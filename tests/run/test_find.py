"""find similar, duplicates and outliers: of photographs, of arrays, and of vectors alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import Cli, Data, check_error, make_images, refused

from aeclust.errors import InputError
from aeclust.images import look
from aeclust.run.context import Context
from aeclust.run.find.duplicates import by_worth, duplicates
from aeclust.run.find.search import outliers, similar
from aeclust.run.folder import RunFolder
from aeclust.run.page import gather

N = 30


def photograph(seed: int) -> Image.Image:
    """Patches of several sizes in any colours."""
    rng, image = np.random.default_rng(seed), np.zeros((48, 64, 3))
    for cells in (4, 12, 24):
        patch = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        image += np.asarray(patch.resize((64, 48), Image.Resampling.BICUBIC), np.float64) / 3
    return Image.fromarray(image.astype(np.uint8))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, of which two are there twice and one stands alone, and vectors of them."""
    place = tmp_path_factory.mktemp("find")
    (place / "photos").mkdir()
    for i in range(N):
        photograph(i).save(place / f"photos/{i:02d}.png")
    photograph(3).resize((32, 24)).save(place / "photos/03-half.png")
    shutil.copy(place / "photos/05.png", place / "photos/05-again.png")
    names = sorted(file.name for file in (place / "photos").iterdir())
    photos = [Image.open(place / "photos" / name).resize((4, 4)) for name in names]
    vectors = np.stack([np.asarray(photo, np.float32).ravel() / 255 for photo in photos])
    vectors[names.index("11.png")] += 4
    np.save(place / "vectors.npy", vectors)
    np.save(place / "one.npy", vectors[names.index("07.png")][None])
    return place


@pytest.fixture
def context(made: Path, cli: Cli, tmp_path: Path) -> Context:
    """A run of the vectors and the photographs, in the working folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    assert cli("embed", "--features", "vectors.npy", "photos").code == 0
    assert cli("cluster", "--clusterer", "kmeans", "-k", 2).code == 0
    return Context(RunFolder(Path("aeclust-run")))


def test_copies_are_listed_drawn_and_left_out_of_exports(cli: Cli, context: Context) -> None:
    found = json.loads(cli("find", "duplicates", "--json").out)
    half, again = found["groups"]
    assert (found["images"], found["exact"], found["near"]) == (N + 2, 1, 1)
    assert half["keep"] == "03.png"  # which has more pixels
    assert half["copies"][0] | {"alike": 0} == {"id": "03-half.png", "same_as": None, "alike": 0}
    assert half["copies"][0]["alike"] > 0.75
    # of equal files the first
    assert again["keep"] == "05-again.png"
    assert again["copies"] == [{"id": "05.png", "same_as": "05-again.png", "alike": 1}]
    with Image.open(found["file"]) as sheet:
        assert sheet.width == pytest.approx(7 * 300, rel=0.02)

    text = cli("find", "duplicates", "-o", "copies.svg").out
    assert "keep 05-again.png: 05.png (equal)\n" in text
    assert " of look-alikes in 32 images: 1 equal to another one, 1 nearly equal\n" in text
    result = cli("export", "sorted", "--without-duplicates")
    assert result.out == "sorted: 30 images in 2 folders; 2 duplicates left out\n"
    kept = {file.name for file in Path("sorted").rglob("*.png")}
    assert kept == {file.name for file in Path("photos").iterdir()} - {"03-half.png", "05.png"}
    assert cli("export", "all.npz", "--without-duplicates").code == 0
    with np.load("all.npz") as table:
        assert len(table["latents"]) == len(table["ids"]) == N
    refusal = cli("export", "all.safetensors", "--without-duplicates")
    check_error(refusal.error, where="`without_duplicates`", what="no labels are exported")

    (section,) = gather(context).sections
    assert section.title == "Duplicates and outliers"
    assert section.note.startswith("2 images are equal to others, or nearly so.")
    assert [list(images.ids) for _, images in section.rows] == [
        ["03.png", "03-half.png"], ["05-again.png", "05.png"], ["11.png"],
    ]  # fmt: skip


def test_of_copies_the_one_that_tells_most_is_kept(tmp_path: Path) -> None:
    """Pixels decide, then colours, then the file."""
    photos, image = tmp_path / "copies", photograph(8)
    photos.mkdir()
    image.save(photos / "08.png")
    image.save(photos / "08-colour.jpg", quality=70)
    image.convert("L").convert("RGB").save(photos / "08-grey.bmp")  # the largest file
    image.convert("L").save(photos / "08-l.png")
    image.resize((32, 24)).save(photos / "08-small.bmp")
    names = np.array(["08-colour.jpg", "08-grey.bmp", "08-l.png", "08-small.bmp", "08.png"])
    of: Any = SimpleNamespace(
        ids=names,
        seen=True,
        listing=look(str(photos)),
        pictures=lambda rows: (
            np.atleast_3d(np.asarray(Image.open(photos / names[i]))) / 255 for i in rows
        ),
    )
    order = names[by_worth(of, np.arange(5))].tolist()
    assert order == ["08.png", "08-colour.jpg", "08-grey.bmp", "08-l.png", "08-small.bmp"]


def test_what_came_since_is_compared_as_well(cli: Cli, context: Context) -> None:
    Path("photos/02.png").unlink()
    result = cli("export", "some.csv", "--without-duplicates")
    assert result.out.endswith("; 2 duplicates left out\n")


def test_the_image_that_stands_alone_comes_first(context: Context) -> None:
    found = outliers(context, 4)
    assert (found.images, found.neighbours, found.far) == (N + 2, 20, 1)
    assert (len(found.outliers), found.outliers[0].id) == (4, "11.png")
    assert found.outliers[0].factor > found.bound > found.outliers[1].factor
    assert found.file == "aeclust-run/outliers.png"


def test_the_nearest_images_of_one_of_the_run_or_of_a_file(cli: Cli, context: Context) -> None:
    vectors, names = np.load("vectors.npy"), sorted(file.name for file in Path("photos").iterdir())
    apart = np.linalg.norm(vectors - vectors[names.index("07.png")], axis=1)
    order = [names[i] for i in np.argsort(apart).tolist()]
    own = similar(context, "07.png", 5)
    assert (own.image, own.in_run) == ("07.png", True)
    assert [each.id for each in own.neighbours] == order[1:6]
    distances = [each.distance for each in own.neighbours]
    assert distances == pytest.approx(np.sort(apart)[1:6], abs=1e-5)
    other = similar(context, "one.npy", 3)
    assert not other.in_run
    assert [each.id for each in other.neighbours] == order[:3]
    assert other.neighbours[0].distance == 0
    lines = cli("find", "similar", "07.png", "-n", 2).out.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == order[1:3]
    assert lines[3:] == ["aeclust-run/similar.png"]


def test_an_image_of_any_size_is_looked_for_in_a_run_of_arrays(
    cli: Cli, labelled: Path, data: Data, tmp_path: Path
) -> None:
    run = Context(RunFolder(labelled))
    images, _ = make_images(60, seed=1)
    Image.fromarray(images[4]).save("four.png")
    found = similar(run, "four.png", 2, output=Path("similar.png"))
    assert (found.neighbours[0].id, found.neighbours[0].distance, found.file) == (
        4, 0, "similar.png",
    )  # fmt: skip
    Image.fromarray(images[4]).resize((50, 40)).save("larger.png")
    Path("broken.png").write_bytes(Path("larger.png").read_bytes()[:60])
    with refused(mend="name another"):  # there is nothing to leave out
        similar(run, "broken.png", output=Path("similar.png"))
    larger = similar(run, "larger.png", 9, output=Path("similar.png"))
    assert {each.label for each in larger.neighbours} == {found.neighbours[0].label}
    with refused(what="holds 30 images", expected="one image, or an id of the run"):
        similar(run, str(data.other), output=Path("similar.png"))
    lines: list[str] = []
    few = duplicates(Context(RunFolder(labelled), log=lines.append), output=Path("copies.png"))
    assert (few.exact, few.near, few.groups, few.file) == (0, None, [], None)
    assert lines == ["only equal images below 16 pixels a side are looked for, not similar ones"]


def test_of_vectors_alone_equal_ones_are_found_and_nothing_is_drawn(
    cli: Cli, made: Path, tmp_path: Path
) -> None:
    shutil.copy(made / "vectors.npy", tmp_path)
    assert cli("embed", "--features", "vectors.npy").code == 0
    lines: list[str] = []
    context = Context(RunFolder(Path("aeclust-run")), log=lines.append)
    found = duplicates(context)
    assert (found.exact, found.near, found.file) == (1, None, None)
    assert lines[-2:] == [
        "only equal vectors are looked for, not similar ones",
        "no picture: the run has vectors and no images to show",
    ]
    assert len(similar(context, "3").neighbours) == 12
    for command in (["similar", "3"], ["duplicates"], ["outliers"]):
        refusal = cli("find", *command, "-o", "sheet.png")
        check_error(refusal.error, what="these are vectors, and there is no image to show of them")


def test_what_is_meant_is_never_guessed(cli: Cli, context: Context) -> None:
    with refused(
        what="no image of the run and no file is called '7.png'",
        mend="did you mean 27.png?",
    ):
        similar(context, "7.png")
    shutil.copy("photos/08.png", "07.png")
    with pytest.raises(InputError) as caught:
        similar(context, "07.png")
    check_error(caught.value, what="is an image of the run, and another file here")
    with refused(what="is a folder", expected="one image, or an id of the run", where="photos"):
        similar(context, "photos")
