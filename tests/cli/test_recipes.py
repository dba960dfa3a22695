"""The recipes: the table of all four, what a field takes, and how a wrong one is told."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeclust.errors import InputError
from aeclust.recipe import (
    AUTO_K,
    CLUSTERERS,
    DEFAULT_RECIPE,
    FIELDS,
    MEANINGS,
    RECIPES,
    REDUCTIONS,
    SPHERE,
    Recipe,
    named,
    parse_reduction,
    read_toml,
    to_toml,
)

# the design's table, every field of it
BASELINE: dict[str, Any] = {
    "name": "baseline",
    "network": "plain",
    "image_size": 32,
    "channels": (64, 128, 256),
    "batch_norm": False,
    "latent_size": 0,
    "variational": False,
    "loss": "mse",
    "beta": 1.0,
    "contrast": 0.0,
    "temperature": 0.5,
    "reconstruction": 1.0,
    "optimizer": "adam",
    "lr": 1e-5,
    "weight_decay": 1e-5,
    "momentum": 0.0,
    "schedule": "constant",
    "batch_size": 64,
    "steps": 0,
    "epochs": 100,
    "label_epochs": 0,
    "precision": "float32",
    "k": 2,
    "reduction": ("kpca:200", "tsne:2"),
    "perplexity": 30.0,
    "clusterer": "minibatch-kmeans",
}
VAE = BASELINE | {"name": "vae", "latent_size": 128, "variational": True}
DEEP = VAE | {
    "name": "deep",
    "channels": (64, 128, 256, 512, 1024),
    "batch_norm": True,
    "optimizer": "sgd",
    "lr": 0.1,
    "weight_decay": 0.0,
    "momentum": 0.9,
    "epochs": 200,
    "reduction": ("kpca:50", "tsne:2"),
}
HYBRID = BASELINE | {
    "name": "hybrid",
    "network": "residual",
    "batch_norm": True,
    "contrast": 1.0,
    "temperature": 0.35,
    "reconstruction": 10.0,
    "optimizer": "muon",
    "lr": 0.15,
    "weight_decay": 1e-4,
    "momentum": 0.6,
    "schedule": "one-cycle",
    "batch_size": 256,
    "steps": 28,
    "epochs": 14,
    "label_epochs": 4,
    "precision": "auto",
    "reduction": ("sphere", "pca:20"),
    "clusterer": "consensus",
}
# on a busy machine
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = ", ".join(name for name in BASELINE if name != "name")


def overriding(recipe: str = "baseline", **values: object) -> Callable[[], Recipe]:
    """What ``--set`` does."""
    return lambda: named(recipe).override(values)


def building(**values: Any) -> Callable[[], Recipe]:
    return lambda: Recipe(name="own", **values)


def reading(values: dict[str, object]) -> Callable[[], Recipe]:
    return lambda: Recipe.from_json(values, where="weights.h5")


def positive(largest: float) -> st.SearchStrategy[float]:
    return st.floats(0, largest, exclude_min=True)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any valid recipe."""
    stages = draw(st.integers(1, 5))
    variational = draw(st.booleans())
    network = draw(st.sampled_from(["plain", "residual"]))
    contrast = draw(st.floats(0, 1e6))
    batch_norm = draw(st.booleans())
    optimizers = ["adam", "adamw", "sgd"]
    optimizers += ["muon"] if batch_norm or network == "residual" else []
    step = st.tuples(st.sampled_from(["pca", "kpca"]), st.integers(1, 10**6))
    tsne = st.tuples(st.just("tsne"), st.integers(1, 3))
    sized = (step | tsne).map(lambda pair: f"{pair[0]}:{pair[1]}")
    steps = draw(st.lists(sized | st.just(SPHERE), max_size=3))
    fields: dict[str, Any] = {
        "name": draw(st.text(max_size=10)),
        "network": network,
        "image_size": 2**stages * draw(st.integers(1, 8)),
        "channels": tuple(draw(st.integers(1, 2048)) for _ in range(stages)),
        "batch_norm": batch_norm,
        "latent_size": draw(st.integers(int(variational), 4096)),
        "variational": variational,
        "loss": draw(st.sampled_from(["mse", "elbo"])) if variational else "mse",
        "beta": draw(st.floats(0, 1e6)),
        "contrast": contrast,
        "temperature": draw(positive(1e6)),
        "reconstruction": draw(st.floats(0, 1e6) if contrast else positive(1e6)),
        "optimizer": draw(st.sampled_from(optimizers)),
        "lr": draw(positive(1e30)),
        "weight_decay": draw(st.floats(0, 1e30)),
        "momentum": draw(st.floats(0, 1, exclude_max=True)),
        "schedule": draw(st.sampled_from(["constant", "one-cycle"])),
        "batch_size": draw(st.integers(2 if contrast or network == "residual" else 1, 4096)),
        "steps": draw(st.integers(0, 10**6)),
        "epochs": draw(st.integers(1, 10**6)),
        "label_epochs": draw(st.integers(0, 10**6 if contrast else 0)),
        "precision": draw(st.sampled_from(["float32", "bfloat16", "auto"])),
        "k": draw(st.just(AUTO_K) | st.integers(2, 10**6)),
        "reduction": tuple(steps),
        "perplexity": draw(positive(1e6)),
        "clusterer": draw(st.sampled_from(CLUSTERERS)),
    }
    assert fields.keys() == FIELDS.keys(), "a new field wants a strategy"
    return Recipe(**fields)


# -- as a file ----------------------------------------------------------------------------------


@given(recipes(), st.sampled_from(sorted(RECIPES)))
def test_a_recipe_written_as_toml_reads_back_equal(drawn: Recipe, name: str) -> None:
    recipe = dataclasses.replace(drawn, name=name)
    fields = tomllib.loads(to_toml(recipe))
    assert fields.pop("recipe") == recipe.name
    assert list(fields) == [name for name in FIELDS if name != "name"]
    assert named(name).override(fields) == recipe


def test_every_field_has_its_comment() -> None:
    assert list(MEANINGS) == [name for name in FIELDS if name != "name"]
    lines = to_toml(named("hybrid")).splitlines()
    assert lines[0] == 'recipe = "hybrid"  # where the fields below come from'
    assert "epochs = 14  # of training that knows no k" in lines
    assert 'reduction = ["sphere", "pca:20"]  # steps before clustering: sphere' in "\n".join(lines)
    assert all(len(line) <= 120 for line in lines)


# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", [BASELINE, VAE, DEEP, HYBRID], ids=lambda row: row["name"])
def test_the_recipes_field_by_field(expected: dict[str, Any]) -> None:
    assert dataclasses.asdict(named(expected["name"])) == expected


def test_the_hybrid_is_the_default() -> None:
    """It has the terms its name promises, and places images it has not seen."""
    hybrid = named(DEFAULT_RECIPE)
    assert (hybrid.name, hybrid.network) == ("hybrid", "residual")
    assert min(hybrid.contrast, hybrid.reconstruction, hybrid.label_epochs) > 0
    assert not hybrid.transductive


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 18),
        ({"k": 7}, 18),
        ({"k": "auto"}, 14),
        ({"label_epochs": 0}, 14),
        ({"epochs": 1, "label_epochs": 9}, 10),
        ({"epochs": 5, "label_epochs": 9, "k": "auto"}, 5),
    ],
)
def test_total_epochs_count_self_labelling_where_k_is_known(
    changes: dict[str, object], expected: int
) -> None:
    assert named("hybrid").override(changes).total_epochs == expected


@pytest.mark.parametrize("name", ["baseline", "vae", "deep"])
def test_the_reports_recipes_have_one_phase(name: str) -> None:
    assert named(name).total_epochs == named(name).epochs


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, 32),
        (896, 32),
        (923, 32),
        (924, 33),
        (1797, 64),
        (7167, 255),
        (7168, 256),
        (60_000, 256),
    ],
)
def test_few_images_are_cut_into_smaller_batches(n: int, expected: int) -> None:
    """Into 28 steps, but of 32 images or more."""
    assert named("hybrid").batch_of(n) == expected


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("baseline", {}, 64),
        ("deep", {"batch_size": 7}, 7),
        ("hybrid", {"steps": 0}, 256),
        ("hybrid", {"batch_size": 7}, 7),
        ("hybrid", {"batch_size": 32}, 32),
        ("hybrid", {"steps": 1}, 100),
    ],
)
def test_the_batch_of_a_hundred_images(
    name: str, changes: dict[str, object], expected: int
) -> None:
    assert named(name).override(changes).batch_of(100) == expected


@PATIENT
@given(recipes(), st.integers(1, 10**6))
def test_batches_are_cut_no_smaller_than_needed(recipe: Recipe, n: int) -> None:
    batch = recipe.batch_of(n)
    assert min(recipe.batch_size, 32) <= batch <= recipe.batch_size
    if not recipe.steps:
        assert batch == recipe.batch_size
    elif batch < recipe.batch_size:
        assert n // batch >= recipe.steps or batch == 32
        assert n // (batch + 1) < recipe.steps


def test_the_clusterers_and_reductions_of_the_design() -> None:
    kinds = (
        "consensus", "kmeans", "minibatch-kmeans", "gmm", "gmm-tied", "spectral", "agglomerative"
    )  # fmt: skip
    assert kinds == CLUSTERERS
    assert (REDUCTIONS, SPHERE, AUTO_K) == (("pca", "kpca", "tsne"), "sphere", 0)


def test_every_recipe_stands_under_its_own_name() -> None:
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {
        name: name for name in ("baseline", "vae", "deep", "hybrid")
    }


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        named("baseline").lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ((), False),
        (("pca:20",), False),
        (("kpca:200", "pca:3"), False),
        (("tsne:2",), True),
        (("kpca:200", "tsne:2"), True),
        (("tsne:3", "pca:2"), True),
        (("sphere",), False),
        (("sphere", "pca:20"), False),
        (("sphere", "tsne:2"), True),
    ],
)
def test_only_tsne_makes_a_chain_transductive(reduction: tuple[str, ...], expected: bool) -> None:
    assert building(reduction=reduction)().transductive is expected


@pytest.mark.parametrize("method", REDUCTIONS)
def test_reductions_are_read_as_method_and_size(method: str) -> None:
    assert parse_reduction(f"{method}:3") == (method, 3)


def test_the_sphere_has_no_size() -> None:
    assert parse_reduction("sphere") == ("sphere", 0)


# -- JSON -----------------------------------------------------------------------------------------


@PATIENT
@given(recipes())
def test_json_and_back_is_the_same_recipe(recipe: Recipe) -> None:
    stored = json.loads(json.dumps(recipe.to_json(), allow_nan=False))
    assert stored == recipe.to_json()
    assert Recipe.from_json(stored, where="weights.h5") == recipe


def test_json_holds_every_field_and_lists_for_tuples() -> None:
    expected = BASELINE | {"channels": [64, 128, 256], "reduction": ["kpca:200", "tsne:2"]}
    assert named("baseline").to_json() == expected


@PATIENT
@given(
    recipes(),
    st.sampled_from(
        ["lr", "k", "perplexity", "clusterer", "precision", "schedule", "label_epochs", "steps"]
    ),
)
def test_fields_missing_in_json_take_their_defaults(recipe: Recipe, missing: str) -> None:
    stored = {name: value for name, value in recipe.to_json().items() if name != missing}
    expected = dataclasses.replace(recipe, **{missing: BASELINE[missing]})
    assert Recipe.from_json(stored, where="weights.h5") == expected


def test_a_name_alone_is_all_defaults() -> None:
    assert Recipe.from_json({"name": "old"}, where="weights.h5") == Recipe(name="old")


def test_a_file_from_before_self_labelling_has_none() -> None:
    fields = {n: v for n, v in named("hybrid").to_json().items() if n != "label_epochs"}
    read = Recipe.from_json(fields, where="weights.h5")
    assert (read.label_epochs, read.total_epochs) == (0, 14)


# -- override -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given_value", "expected"),
    [
        ("momentum", "0.9", 0.9),
        ("momentum", " .5 ", 0.5),
        ("momentum", "0", 0.0),
        ("lr", "1e-3", 0.001),
        ("lr", 1, 1.0),
        ("lr", 0.5, 0.5),
        ("epochs", "7", 7),
        ("epochs", 7, 7),
        ("batch_norm", "true", True),
        ("batch_norm", "False", False),
        ("batch_norm", True, True),
        ("channels", "4,8", (4, 8)),
        ("channels", "4, 8", (4, 8)),
        ("channels", "16", (16,)),
        ("channels", [4, 8], (4, 8)),
        ("channels", (4, 8), (4, 8)),
        ("reduction", "kpca:200,tsne:2", ("kpca:200", "tsne:2")),
        ("reduction", "pca:20, tsne:3", ("pca:20", "tsne:3")),
        ("reduction", "pca:20", ("pca:20",)),
        ("reduction", "none", ()),
        ("reduction", "", ()),
        ("reduction", ["pca:5"], ("pca:5",)),
        ("optimizer", "sgd", "sgd"),
        ("clusterer", " gmm", "gmm"),
        ("clusterer", "consensus", "consensus"),
        ("precision", "auto", "auto"),
        ("k", "auto", 0),
        ("k", " auto ", 0),
        ("k", "3", 3),
        ("reduction", "sphere", ("sphere",)),
        ("reduction", "sphere, pca:20", ("sphere", "pca:20")),
    ],
)
def test_override_reads_a_value_as_the_fields_type(
    field: str, given_value: object, expected: object
) -> None:
    base = named("baseline")
    changed = base.override({field: given_value})
    assert getattr(changed, field) == expected
    assert type(getattr(changed, field)) is type(expected)
    assert dataclasses.replace(changed, **{field: getattr(base, field)}) == base


def test_override_checks_fields_together() -> None:
    changed = named("baseline").override({"variational": "true", "latent_size": "3"})
    assert (changed.variational, changed.latent_size) == (True, 3)


def test_overriding_nothing_changes_nothing() -> None:
    assert named("deep").override({}) == named("deep")


# -- what is refused ------------------------------------------------------------------------------

CHANGE = "; change that field"
STAGES = "one positive number for each of 1 to 16 encoder stages"
HALVE = "stages halve the image"
REDUCTION = (
    "expected sphere, or METHOD:SIZE with METHOD one of pca, kpca, tsne; "
    "for example pca:20 or kpca:200,tsne:2, or none"
)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        # names
        (
            lambda: named("hybird"),
            "--recipe: no recipe is called 'hybird'; expected one of baseline, vae, deep, hybrid; "
            "did you mean hybrid?",
        ),
        (
            lambda: named("zzz"),
            "--recipe: no recipe is called 'zzz'; expected one of baseline, vae, deep, hybrid; "
            "see aeclust train --help",
        ),
        (
            overriding(momentun="0.9"),
            f"--set: no recipe field is called 'momentun'; expected one of {NAMES}; "
            "did you mean momentum?",
        ),
        (
            overriding(qqq="1"),
            f"--set: no recipe field is called 'qqq'; expected one of {NAMES}; "
            "see aeclust train --help",
        ),
        (
            overriding(name="mine"),
            f"--set: no recipe field is called 'name'; expected one of {NAMES}; "
            "see aeclust train --help",
        ),
        (
            reading({"name": "baseline", "epoch": 3}),
            f"weights.h5: no recipe field is called 'epoch'; expected one of {NAMES}; "
            "did you mean epochs?",
        ),
        (reading({"lr": 0.1}), "weights.h5: the recipe has no name; the file is not aeclust's"),
        (reading({"name": 3}), "weights.h5: the recipe has no name; the file is not aeclust's"),
        # types
        (
            overriding(lr="fast"),
            "--set: lr is 'fast'; expected a finite number" + CHANGE,
        ),
        (overriding(lr="nan"), "--set: lr is nan; expected a finite number" + CHANGE),
        (overriding(lr="1e999"), "--set: lr is inf; expected a finite number" + CHANGE),
        (overriding(lr=True), "--set: lr is True; expected a finite number" + CHANGE),
        (
            overriding(lr=10**400),
            f"--set: lr is {10**400}; expected a finite number" + CHANGE,
        ),
        (overriding(beta=None), "--set: beta is None; expected a finite number" + CHANGE),
        (overriding(epochs="2.5"), "--set: epochs is '2.5'; expected a whole number" + CHANGE),
        (overriding(epochs=2.0), "--set: epochs is 2.0; expected a whole number" + CHANGE),
        (overriding(epochs=True), "--set: epochs is True; expected a whole number" + CHANGE),
        (
            overriding(batch_norm="yes"),
            "--set: batch_norm is 'yes'; expected true or false" + CHANGE,
        ),
        (overriding(batch_norm=1), "--set: batch_norm is 1; expected true or false" + CHANGE),
        (
            overriding(channels="4,x"),
            "--set: channels is (4, 'x'); expected whole numbers" + CHANGE,
        ),
        (
            overriding(channels="4,,8"),
            "--set: channels is (4, '', 8); expected whole numbers" + CHANGE,
        ),
        (overriding(channels=4), "--set: channels is 4; expected whole numbers" + CHANGE),
        (
            overriding(channels=[True]),
            "--set: channels is (True,); expected whole numbers" + CHANGE,
        ),
        (overriding(reduction=[3]), "--set: reduction is (3,); expected texts" + CHANGE),
        (
            overriding(optimizer="rmsprop"),
            "--set: optimizer is 'rmsprop'; expected one of adam, adamw, sgd, muon" + CHANGE,
        ),
        (overriding(loss=["mse"]), "--set: loss is ('mse',); expected one of mse, elbo" + CHANGE),
        (
            overriding(clusterer="dbscan"),
            "--set: clusterer is 'dbscan'; expected one of consensus, kmeans, minibatch-kmeans,"
            " gmm, gmm-tied, spectral, agglomerative" + CHANGE,
        ),
        (building(lr=1), "lr is 1; expected a finite number" + CHANGE),
        (building(network="deep"), "network is 'deep'; expected one of plain, residual" + CHANGE),
        (
            building(precision="float16"),
            "precision is 'float16'; expected one of float32, bfloat16, auto; "
            "did you mean bfloat16?",
        ),
        (
            building(schedule="cosine"),
            "schedule is 'cosine'; expected one of constant, one-cycle" + CHANGE,
        ),
        (building(channels=[4, 8]), "channels is [4, 8]; expected whole numbers" + CHANGE),
        (lambda: Recipe(name=3), "name is 3; expected a text" + CHANGE),  # type: ignore[arg-type]
        # ranges
        (overriding(lr="0"), "--set: lr is 0.0; expected a number above 0" + CHANGE),
        (overriding(lr=1e31), "--set: lr is 1e+31; expected 1e30 or less" + CHANGE),
        (
            overriding(temperature=0),
            "--set: temperature is 0.0; expected a number above 0" + CHANGE,
        ),
        (
            overriding(perplexity=-1),
            "--set: perplexity is -1.0; expected a number above 0" + CHANGE,
        ),
        (overriding(beta=-0.5), "--set: beta is -0.5; expected 0 or more" + CHANGE),
        (overriding(weight_decay=-1), "--set: weight_decay is -1.0; expected 0 or more" + CHANGE),
        (
            overriding(weight_decay=1e39),
            "--set: weight_decay is 1e+39; expected 1e30 or less" + CHANGE,
        ),
        (
            overriding(optimizer="muon"),
            "--set: optimizer is 'muon'; expected adam, adamw or sgd, because muon rescales "
            "kernels, which needs batch normalisation" + CHANGE,
        ),
        (overriding(contrast=-1), "--set: contrast is -1.0; expected 0 or more" + CHANGE),
        (
            overriding(reconstruction=-1),
            "--set: reconstruction is -1.0; expected 0 or more" + CHANGE,
        ),
        (overriding(momentum=-0.1), "--set: momentum is -0.1; expected 0 or more" + CHANGE),
        (overriding(momentum="1"), "--set: momentum is 1.0; expected less than 1" + CHANGE),
        (overriding(batch_size=0), "--set: batch_size is 0; expected 1 or more" + CHANGE),
        (overriding(epochs="0"), "--set: epochs is 0; expected 1 or more" + CHANGE),
        (overriding(steps=-1), "--set: steps is -1; expected 0 or more" + CHANGE),
        (overriding(label_epochs=-1), "--set: label_epochs is -1; expected 0 or more" + CHANGE),
        (
            overriding(label_epochs=1.0),
            "--set: label_epochs is 1.0; expected a whole number" + CHANGE,
        ),
        (overriding(k=1), "--set: k is 1; expected 2 clusters or more, or auto" + CHANGE),
        (overriding(k=0), "--set: k is 0; expected 2 clusters or more, or auto" + CHANGE),
        (overriding(k=" 0"), "--set: k is 0; expected 2 clusters or more, or auto" + CHANGE),
        (overriding(k=-1), "--set: k is -1; expected 2 clusters or more, or auto" + CHANGE),
        (overriding(k="Auto"), "--set: k is 'Auto'; expected a whole number, or auto" + CHANGE),
        (overriding(epochs="auto"), "--set: epochs is 'auto'; expected a whole number" + CHANGE),
        (overriding(latent_size=-1), "--set: latent_size is -1; expected 0 or more" + CHANGE),
        (
            overriding(channels="none"),
            f"--set: channels is (); expected {STAGES}" + CHANGE,
        ),
        (
            overriding(channels="4,0"),
            f"--set: channels is (4, 0); expected {STAGES}" + CHANGE,
        ),
        (
            building(channels=(1,) * 17),
            f"channels is {(1,) * 17}; expected {STAGES}" + CHANGE,
        ),
        # fields that must fit each other
        (
            overriding(image_size="36"),
            f"--set: image_size is 36; expected a multiple of 8, because 3 {HALVE}" + CHANGE,
        ),
        (
            overriding("deep", image_size=16),
            f"--set: image_size is 16; expected a multiple of 32, because 5 {HALVE}" + CHANGE,
        ),
        (
            overriding(image_size=0),
            f"--set: image_size is 0; expected a multiple of 8, because 3 {HALVE}" + CHANGE,
        ),
        (
            overriding(image_size=-8),
            f"--set: image_size is -8; expected a multiple of 8, because 3 {HALVE}" + CHANGE,
        ),
        (
            overriding(variational="true"),
            "--set: latent_size is 0; expected 1 or more for a variational network" + CHANGE,
        ),
        (
            overriding(loss="elbo"),
            "--set: loss is 'elbo'; expected mse, because the bound needs a variational network"
            + CHANGE,
        ),
        (
            overriding(reconstruction="0"),
            "--set: reconstruction is 0.0; expected a positive weight for the contrastive or the "
            "reconstruction term" + CHANGE,
        ),
        (
            overriding("hybrid", batch_size=1),
            "--set: batch_size is 1; expected 2 or more, because the contrastive term compares "
            "images" + CHANGE,
        ),
        (
            overriding("hybrid", contrast=0),
            "--set: label_epochs is 4; expected 0 without a contrastive term, because "
            "self-labelling needs augmented views" + CHANGE,
        ),
        (
            overriding(label_epochs=2),
            "--set: label_epochs is 2; expected 0 without a contrastive term, because "
            "self-labelling needs augmented views" + CHANGE,
        ),
        (
            overriding("hybrid", batch_size=1, contrast=0, label_epochs=0),
            "--set: batch_size is 1; expected 2 or more, because the residual network normalises "
            "batches" + CHANGE,
        ),
        # reductions
        (overriding(reduction="umap:2"), f"--set: reduction is 'umap:2'; {REDUCTION}"),
        (overriding(reduction="pca"), f"--set: reduction is 'pca'; {REDUCTION}"),
        (overriding(reduction="sphere:2"), f"--set: reduction is 'sphere:2'; {REDUCTION}"),
        (overriding(reduction="Sphere"), f"--set: reduction is 'Sphere'; {REDUCTION}"),
        (overriding(reduction="pca:0"), f"--set: reduction is 'pca:0'; {REDUCTION}"),
        (overriding(reduction="pca:-2"), f"--set: reduction is 'pca:-2'; {REDUCTION}"),
        (overriding(reduction="pca:2.5"), f"--set: reduction is 'pca:2.5'; {REDUCTION}"),
        (overriding(reduction="pca:²"), f"--set: reduction is 'pca:²'; {REDUCTION}"),
        (overriding(reduction="pca:2,none"), f"--set: reduction is 'none'; {REDUCTION}"),
        (
            building(reduction=("pca:" + "9" * 5000,)),
            f"reduction is 'pca:{'9' * 5000}'; {REDUCTION}",
        ),
        (
            overriding(reduction="pca:20,tsne:4"),
            "--set: reduction is 'tsne:4'; expected at most 3 t-SNE dimensions; use tsne:2",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "refused",
)
def test_what_does_not_fit_is_told_in_one_line(make: Callable[[], Recipe], text: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"k 3", "Expected '=' after a key in a key/value pair (at line 1, column 3)"),
        (b"#" * (2**20 + 1), "larger than 1 MB"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
    ids=["missing", "not TOML", "huge", "not UTF-8"],
)
def test_a_config_file_that_cannot_be_read(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_toml(file)
    assert str(caught.value) == (
        f"{file}: cannot be read ({problem}); expected TOML with one recipe field a line; "
        "correct it"
    )


def test_a_config_file_gives_fields(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('k = "auto"\nlr = 1e-3\nchannels = [4, 8]\nreduction = "none"\nbeta = 2\n')
    assert named("baseline").override(read_toml(file)) == dataclasses.replace(
        named("baseline"), k=0, lr=1e-3, channels=(4, 8), reduction=(), beta=2.0
    )


def test_errors_name_the_place_they_are_given() -> None:
    text = r"^aeclust\.toml: k is 1; expected 2 clusters or more, or auto; "
    with pytest.raises(InputError, match=text):
        named("vae").override({"k": 1}, where="aeclust.toml")


def test_a_toml_file_of_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b'\xef\xbb\xbfrecipe = "vae"\r\nepochs = 5\r\n')
    assert read_toml(tmp_path / "run.toml") == {"recipe": "vae", "epochs": 5}


@pytest.mark.parametrize("field", ["epochs", "label_epochs"])
def test_epochs_that_no_file_is_named_for_are_refused(field: str) -> None:
    with pytest.raises(InputError, match=f"^{field} is 1000000000; expected less than 1e9"):
        named("hybrid").override({field: 10**9}, where="")
