"""The run folder: its manifest comes back as written, and one process at a time writes in it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import RECIPE, Cli, Data, files_of, one_error

from aeclust.errors import BusyError, InputError, WriteError
from aeclust.images import Source
from aeclust.recipe import RECIPES
from aeclust.run.folder import Manifest, RunFolder

MANIFEST = Manifest(
    source=Source(location="/data/ünïcode\n.npy", layout="nhwc", range="-1:1", skip_bad=True),
    data_digest="ab" * 32,
    shape=(10, 8, 8, 1),
    recipe=RECIPES["deep"].override({"k": 3, "reduction": "none"}),
    seed=7,
    val_images="demo:scenes-val",
    val_labels="/data/labels.csv",
)

HOLDER = """
import sys
from pathlib import Path
from aeclust.run.folder import RunFolder
with RunFolder(Path("aeclust-run")).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


# -- manifest ----------------------------------------------------------------------------------


def test_a_manifest_comes_back_as_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert not run.exists()
    run.write_manifest(MANIFEST)
    assert run.exists()
    assert run.manifest() == MANIFEST
    assert run.manifest_file.read_text(encoding="utf-8").endswith("}\n")


def test_a_path_that_is_no_text_comes_back_as_written(tmp_path: Path) -> None:
    place = os.fsdecode(b"/data/caf\xe9.npy")  # latin-1
    manifest = dataclasses.replace(
        MANIFEST, source=Source(location=place), val_images=place, val_labels=place
    )
    RunFolder(tmp_path).write_manifest(manifest)
    assert b"caf\xe9" in RunFolder(tmp_path).manifest_file.read_bytes()
    assert RunFolder(tmp_path).manifest() == manifest


IMAGES = {"sha256": "", "shape": [1, 8, 8, 3], "location": "x"}


def damaged(**changes: Any) -> str:
    return json.dumps({**MANIFEST.to_json(), **changes})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is damaged (JSONDecodeError"),
        ("[]", "is damaged (TypeError"),
        ("null", "is damaged (TypeError"),
        ("[" * 100_000, "is damaged (RecursionError"),
        ("\xff", "is damaged (JSONDecodeError"),
        (damaged(format=2), "is of format 2; expected format 1; read it with the aeclust"),
        (damaged(data=None), "is damaged (TypeError"),
        (
            damaged(data={"sha256": "", "shape": [1, 8, 8, 3], "location": "x", "surprise": 1}),
            "is damaged (TypeError",
        ),
        (
            damaged(data={"sha256": "", "shape": [1, 8, 8], "location": "x"}),
            "is damaged (ValueError: not enough values to unpack (expected 4, got 3))",
        ),
        (
            damaged(data={"sha256": "", "shape": [1, 8, 8, 3], "location": 5}),
            "is damaged (TypeError: location, layout, range or validation is no text)",
        ),
        *(
            (
                damaged(data={**IMAGES, **changed}),
                f"is damaged ({told})",
            )
            for changed, told in (
                ({"shape": [0, 8, 8, 3]}, "ValueError: no images have such a shape"),
                ({"shape": [1, 8, 8, 4]}, "ValueError: no images have such a shape"),
                ({"size": "8"}, "TypeError: size or skip_bad is of another kind"),
                ({"skip_bad": 1}, "TypeError: size or skip_bad is of another kind"),
                ({"range": [1]}, "TypeError: location, layout, range or validation is no text"),
            )
        ),
        (damaged(seed=-5), "is damaged (ValueError: seed is not in 0 to 2^32 - 1)"),
        (damaged(seed=2**32), "is damaged (ValueError: seed is not in 0 to 2^32 - 1)"),
        (
            damaged(validation={"images": "demo:digits", "labels": 5}),
            "is damaged (TypeError: location, layout, range or validation is no text)",
        ),
        (damaged(seed=None), "is damaged (TypeError"),
        (damaged(validation={}), "is damaged (KeyError: 'images')"),
        (damaged(recipe={}), "the recipe has no name; the file is not aeclust's"),
        (damaged(recipe={"name": "own", "epoch": 1}), "no recipe field is called 'epoch'"),
        (damaged(recipe={**RECIPES["deep"].to_json(), "epochs": -1}), "epochs is -1"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str, told: str) -> None:
    run = RunFolder(tmp_path)
    run.manifest_file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        run.manifest()
    assert str(caught.value).startswith(f"{run.manifest_file}: ")
    assert told in str(caught.value)


def test_no_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        RunFolder(tmp_path / "no").manifest()
    assert str(caught.value) == (
        f"{tmp_path / 'no'}: there is no run here; expected a folder made by aeclust train; "
        "run aeclust train first, or name the folder with --run"
    )


def test_checkpoints_are_files_of_their_name_alone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.checkpoints() == []
    (tmp_path / "weights").mkdir()
    for name in ("epoch-0010.h5", "epoch-0002.h5", "epoch-12345.h5", "epoch-3.h5", "epoch-0004"):
        (tmp_path / "weights" / name).touch()
    (tmp_path / "weights" / ".epoch-0005.h5.x.tmp").touch()
    assert run.checkpoints() == [2, 10, 12345]


# -- lock --------------------------------------------------------------------------------------


def test_the_lock_names_its_holder_and_can_be_taken_again_within(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    lock = run.path / ".lock"
    with run.lock():
        assert lock.read_text() == str(os.getpid())
        with run.lock():
            assert lock.read_text() == str(os.getpid())
        with pytest.raises(BusyError), RunFolder(run.path).lock():
            pass
    assert lock.read_text() == ""
    with RunFolder(run.path).lock():
        assert lock.read_text() == str(os.getpid())


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with RunFolder(tmp_path).lock():
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_place_that_cannot_be_a_folder_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(WriteError, match="cannot be written to"),
        RunFolder(tmp_path / "file").lock(),
    ):
        pass


def test_a_held_folder_refuses_writers_serves_readers_and_is_free_after_a_kill(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    before = files_of(full_run.path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        writers: list[list[object]] = [["train", data.images, *RECIPE, "--force"]]
        writers += [["embed", "--force"], ["cluster", "--force"], ["cluster", "-k", 3]]
        for writer in writers:
            assert one_error(cli(*writer, "-q"), 5) == (
                f"aeclust-run: another process works here (process {holder.pid}); "
                "wait for it to end, or use another folder with --run"
            )
        readers: list[list[object]] = [["embed"], ["cluster"], ["predict"], ["info"]]
        for reader in (*readers, ["predict", data.val_images]):
            assert cli(*reader).code == 0
        assert files_of(full_run.path) == before
    finally:
        holder.kill()
        holder.communicate()
    assert (full_run.path / ".lock").read_text() == str(holder.pid)
    assert cli("cluster", "--force").code == 0


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "weights").mkdir()
    left = [".labels.h5.k2j_x9ab.tmp", "weights/.epoch-0003.h5.abcdefgh.tmp"]
    left += [".run.json.00000000.tmp", ".run.json.next.abcdefgh.tmp", ".metrics.jsonl.abcdefgh.tmp"]
    own = [
        ".embedding.png.abcdefgh.tmp",
        ".notes.txt.abcdefgh.tmp",
        ".labels.h5.tmp",
        "labels.h5.abcdefgh.tmp",
        "labels.h5",
    ]
    for name in left + own:
        (tmp_path / name).write_bytes(b"x")
    with folder.lock():
        assert sorted(f.name for f in tmp_path.rglob("*") if f.is_file()) == sorted([*own, ".lock"])


def test_a_command_line_names_the_folder_where_it_must() -> None:
    assert RunFolder(Path("there")).command("cluster") == "aeclust cluster"
    elsewhere = RunFolder(Path("there"), " --run there")
    assert elsewhere.command("cluster") == "aeclust cluster --run there"
    assert elsewhere.command("train --resume") == "aeclust train --run there --resume"


def test_a_manifest_saved_by_an_editor_is_read(cli: Cli, full_run: RunFolder) -> None:
    file = full_run.manifest_file
    wanted = full_run.manifest()
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert full_run.manifest() == wanted
