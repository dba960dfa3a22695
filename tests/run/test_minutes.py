"""aeclust train --minutes: what is chosen is the run's recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders import colour_encoder
from support import Cli, Data, bytes_of, make_images, tiny

from aeclust import AutoencoderClusterer
from aeclust.errors import ArgumentError
from aeclust.network import pace, training
from aeclust.network.parallel import Team
from aeclust.recipe import RECIPES, Recipe
from aeclust.recipe.budget import Pace

TINY = ["--set", "channels=4,8", "--set", "image_size=8", "--batch-size", "16", "--set", "crops=1"]
RUN = Path("aeclust-run")


def run_json(run: Path = RUN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes four seconds, they say, so that a minute has four epochs of four steps."""
    told = Pace(first=3.2, second=3.2, between=3.2)
    monkeypatch.setattr(pace.Paces, "__call__", lambda self, recipe: told)


@pytest.mark.usefixtures("slow")
def test_what_is_chosen_is_the_recipe_of_the_run(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *TINY, "--minutes", 1)
    assert result.code == 0
    said = "1 minute: 3 + 1 epochs with channels 4,8 take "
    assert said in result.err
    made = run_json()
    assert (made["minutes"], made["recipe"]["epochs"], made["recipe"]["label_epochs"]) == (1, 3, 1)
    assert cli("train", data.images, *TINY, "--epochs", 4, "--run", "by-epochs").code == 0
    assert bytes_of(RUN, "weights/*") == bytes_of(Path("by-epochs"), "weights/*")
    # with the flag and without it, nothing is chosen anew
    for again in (["train", data.images, *TINY, "--minutes", 1], ["train"]):
        result = cli(*again, "--resume")
        assert (result.code, "finished already" in result.err) == (0, True)
        assert run_json() == made
    assert "minutes was 1 and is 2" in cli("train", "--resume", "--minutes", 2).err


@pytest.mark.usefixtures("slow")
def test_a_budget_is_written_as_a_recipe_and_learns_on(cli: Cli, data: Data) -> None:
    flags = ["train", data.images, *TINY, "--minutes", 1]
    written = json.loads(cli(*flags, "--write-config", "--json").out)
    assert not RUN.exists()
    assert cli(*flags).code == 0
    assert run_json()["recipe"] == written
    assert cli("train", "--continue", "--minutes", 0.6).code == 0
    learnt = run_json()
    assert (learnt["recipe"]["channels"], learnt["recipe"]["epochs"]) == ([4, 8], 1)
    assert learnt["minutes"] == 0.6


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--minutes 1 --epochs 3", "--minutes, --epochs: they exclude each other"),
        ("--minutes 1 --set epochs=3", "they exclude each other"),
        ("--minutes 0", "minutes is 0.0; expected a number above 0; change --minutes"),
        ("--minutes nan", "expected a number above 0"),
        ("--minutes 1e-9", "too little time: one epoch takes"),
    ],
)
def test_refusals(cli: Cli, data: Data, flags: str, said: str) -> None:
    result = cli("train", data.images, *TINY, *flags.split())
    assert (result.code, said in result.err.splitlines()[-1]) == (2, True)
    assert not RUN.exists()


def test_a_pace_is_measured_once_for_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Recipe] = []
    train = training.train

    def counted(pixels: Any, recipe: Recipe, **more: Any) -> Any:
        trained.append(recipe)
        return train(pixels, recipe, **more)

    monkeypatch.setattr(pace, "train", counted)
    pixels = make_images(60, seed=0)[0]
    before = pixels.copy()
    paces = pace.Paces(pixels, seed=0, seconds=0.1, team=Team())
    recipe = tiny("hybrid", k=2)
    known = paces(recipe)
    assert min(known) > 0
    assert paces(recipe.lasting(2)) == known
    assert len(trained) == 2
    assert paces(tiny("baseline"))[1:] == (0, 0)
    assert len(trained) == 3
    np.testing.assert_array_equal(pixels, before)


def test_without_a_ladder_there_are_no_more_epochs_than_the_recipes_own(
    cli: Cli, data: Data, tmp_path: Path
) -> None:
    flags = ["--recipe", "pretrained", "--encoder", colour_encoder(tmp_path / "colours.onnx")]
    flags += [word for name in ("image_size", "drawn_size") for word in ("--set", f"{name}=8")]
    flags += ["--set", "channels=4,8", "--batch-size", 32]
    result = cli("train", data.images, *flags, "--minutes", 0.2)
    assert (result.code, "more would gain nothing" in result.err) == (0, True)
    assert run_json()["recipe"]["epochs"] == RECIPES["pretrained"].epochs


def test_an_estimator_takes_minutes(slow: None) -> None:
    pixels = make_images(60, seed=0)[0]
    small = {"channels": (4, 8), "image_size": 8, "batch_size": 16, "crops": 1}
    model = AutoencoderClusterer(settings=small, minutes=1, random_state=0).fit(pixels)
    assert (model.recipe_.epochs, model.recipe_.label_epochs) == (3, 1)
    same = AutoencoderClusterer(settings=small, epochs=4, random_state=0).fit(pixels)
    np.testing.assert_array_equal(model.transform(pixels), same.transform(pixels))
    with pytest.raises(ArgumentError, match="minutes, epochs: they exclude each other"):
        AutoencoderClusterer(settings={"epochs": 3}, minutes=1).fit(pixels)
