"""The recipes: the table of all, what a field takes, and what it refuses."""

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
from support import refused

from aeclust.errors import InputError
from aeclust.recipe import (
    AUTO_K,
    DEFAULT_RECIPE,
    FIELDS,
    HDBSCAN,
    LATER,
    RECIPES,
    REDUCTIONS,
    SPHERE,
    Recipe,
    choices,
    named,
    parse_reduction,
    read_toml,
    to_toml,
)

# the design's table, every field of it
BASELINE: dict[str, Any] = {
    "name": "baseline",
    "network": "plain",
    "encoder": "",
    "encoder_input": "",
    "enlarge": 0.0,
    "encoder_sha256": "",
    "image_size": 32,
    "drawn_size": 0,
    "channels": (64, 128, 256),
    "extra_layers": 0,
    "batch_norm": False,
    "latent_size": 0,
    "variational": False,
    "loss": "mse",
    "beta": 1.0,
    "contrast": 0.0,
    "temperature": 0.5,
    "view_scale": 0.0,
    "crops": 0,
    "crop_scale": 0.0,
    "reconstruction": 1.0,
    "decoded": 0,
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
    "min_cluster_size": 0,
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
    "view_scale": 0.75,
    "crops": 4,
    "crop_scale": 0.5,
    "decoded": 2,
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
PRETRAINED = BASELINE | {
    "name": "pretrained",
    "network": "frozen",
    "encoder": "efficientnet-lite0",
    "enlarge": 5.0,
    "image_size": 192,
    "drawn_size": 32,
    "channels": (32, 64, 128),
    "batch_norm": True,
    "optimizer": "adamw",
    "lr": 3e-3,
    "weight_decay": 1e-4,
    "schedule": "one-cycle",
    "batch_size": 256,
    "steps": 28,
    "epochs": 10,
    "precision": "auto",
    "reduction": ("sphere", "pca:50"),
    "clusterer": "heads",
}
FEATURES = BASELINE | {
    "name": "features",
    "network": "none",
    "channels": (1,),
    "reduction": ("sphere", "pca:50"),
    "clusterer": "heads",
}
PRINTABLE = st.text(min_size=1, max_size=9).filter(str.isprintable)
# on a busy machine
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def overriding(recipe: str = "baseline", **values: object) -> Callable[[], Recipe]:
    """What ``--set`` does."""
    return lambda: named(recipe).override(values)


def building(**values: Any) -> Callable[[], Recipe]:
    return lambda: Recipe(name="own", **values)


def reading(**values: object) -> Callable[[], Recipe]:
    return lambda: Recipe.from_json({**named("baseline").to_json(), **values})


def positive(largest: float) -> st.SearchStrategy[float]:
    return st.floats(0, largest, exclude_min=True)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any valid recipe."""
    stages = draw(st.integers(1, 5))
    network = draw(st.sampled_from(choices("network")))
    frozen, one_alone = network == "frozen", network in ("plain", "none")
    variational = not frozen and draw(st.booleans())
    contrast = 0.0 if frozen else draw(st.floats(0, 1e6))
    batch_norm = draw(st.booleans())
    optimizers = ["adam", "adamw", "sgd"]
    optimizers += ["muon"] if batch_norm or network in ("residual", "frozen") else []
    halved = 2**stages * draw(st.integers(1, 8))
    any_size = st.integers(1, 512)
    step = st.tuples(st.sampled_from(["pca", "kpca"]), st.integers(1, 10**6))
    tsne = st.tuples(st.just("tsne"), st.integers(1, 3))
    sized = (step | tsne).map(lambda pair: f"{pair[0]}:{pair[1]}")
    steps = draw(st.lists(sized | st.just(SPHERE), max_size=3))
    fields: dict[str, Any] = {
        "name": draw(st.text(max_size=10)),
        "network": network,
        "encoder": draw(PRINTABLE) if frozen else "",
        "encoder_input": draw(PRINTABLE | st.just("")) if frozen else "",
        "enlarge": draw(st.floats(0, 1e6)) if frozen else 0.0,
        "encoder_sha256": draw(st.sampled_from(["", "0f" * 32])) if frozen else "",
        "drawn_size": halved if frozen else 0,
        "image_size": draw(any_size) if frozen or network == "none" else halved,
        "channels": tuple(draw(st.integers(1, 2048)) for _ in range(stages)),
        "extra_layers": draw(st.integers(0, 64)) if network == "residual" else 0,
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
        "schedule": draw(st.sampled_from(choices("schedule"))),
        "batch_size": draw(st.integers(1 if one_alone and not contrast else 2, 4096)),
        "steps": draw(st.integers(0, 10**6)),
        "epochs": draw(st.integers(1, 10**6)),
        "label_epochs": draw(st.integers(0, 10**6 if contrast else 0)),
        "view_scale": draw(st.just(0.0) | positive(1)),
        "crops": draw(st.integers(0, 64)),
        "crop_scale": draw(positive(1)),
        "decoded": draw(st.integers(0, 10**6)),
        "precision": draw(st.sampled_from(choices("precision"))),
        "k": draw(st.just(AUTO_K) | st.integers(2, 10**6)),
        "reduction": tuple(steps),
        "perplexity": draw(positive(1e6)),
        "clusterer": draw(st.sampled_from(choices("clusterer"))),
        "min_cluster_size": draw(st.just(0) | st.integers(2, 10**6)),
    }
    if fields["clusterer"] == HDBSCAN:
        fields["k"] = AUTO_K
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
    lines = to_toml(named("hybrid")).splitlines()
    assert lines[0] == 'recipe = "hybrid"  # where the fields below come from'
    assert "epochs = 14  # of training without a number of clusters" in lines
    assert 'reduction = ["sphere", "pca:20"]  # steps before clustering: sphere' in "\n".join(lines)
    assert all(len(line) <= 130 for line in lines)


# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expected", [BASELINE, VAE, DEEP, HYBRID, PRETRAINED, FEATURES], ids=lambda row: row["name"]
)
def test_the_recipes_field_by_field(expected: dict[str, Any]) -> None:
    assert dataclasses.asdict(named(expected["name"])) == expected


def test_the_hybrid_is_the_default() -> None:
    """It has the terms its name promises, and places images it has not seen."""
    hybrid = named(DEFAULT_RECIPE)
    assert (hybrid.name, hybrid.network) == ("hybrid", "residual")
    assert min(hybrid.contrast, hybrid.reconstruction, hybrid.label_epochs) > 0
    assert not hybrid.transductive


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("hybrid", {}, 18),
        ("hybrid", {"k": 7}, 18),
        ("hybrid", {"k": "auto"}, 14),
        ("hybrid", {"label_epochs": 0}, 14),
        ("hybrid", {"epochs": 1, "label_epochs": 9}, 10),
        ("hybrid", {"epochs": 5, "label_epochs": 9, "k": "auto"}, 5),
        ("baseline", {}, 100),
        ("deep", {}, 200),
        ("pretrained", {}, 10),
        ("features", {}, 0),
    ],
)
def test_total_epochs_count_self_labelling_where_k_is_known(
    name: str, changes: dict[str, object], expected: int
) -> None:
    assert named(name).override(changes).total_epochs == expected


@pytest.mark.parametrize(
    ("total", "changes", "fixed", "expected"),
    [
        # 14 to 4: the second phase has two ninths, and one epoch at least
        (1, {}, False, (1, 0)),
        (2, {}, False, (1, 1)),
        (3, {}, False, (2, 1)),
        (6, {}, False, (5, 1)),
        (7, {}, False, (5, 2)),
        (18, {}, False, (14, 4)),
        (50, {}, False, (39, 11)),
        (7, {"label_epochs": 2}, True, (5, 2)),
        (3, {"label_epochs": 2}, True, (1, 2)),
        (3, {"label_epochs": 0}, True, (3, 0)),
        (3, {"label_epochs": 90}, False, (1, 2)),
        # without a number of clusters there is no second phase; what it would have had stays
        (9, {"k": "auto"}, False, (9, 4)),
        (9, {"k": "auto", "label_epochs": 2}, True, (9, 2)),
    ],
)
def test_so_many_epochs_in_all_are_shared_among_the_phases(
    total: int, changes: dict[str, object], fixed: bool, expected: tuple[int, int]
) -> None:
    made = named("hybrid").override(changes).lasting(total, fixed=fixed)
    assert (made.epochs, made.label_epochs) == expected
    assert made.total_epochs == total
    # asked of a run that has begun, as --resume does, it is the same
    assert made.lasting(total) == made


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.integers(0, 10**5))
def test_epochs_in_all_are_all_and_shared_in_proportion(total: int, first: int, last: int) -> None:
    recipe = named("hybrid").override({"epochs": first, "label_epochs": last})
    made = recipe.lasting(total)
    assert made.total_epochs == total
    assert made.lasting(total) == made
    assert recipe.lasting(recipe.total_epochs) == recipe
    if made.label_epochs > 1 and made.epochs > 1:
        assert abs(made.label_epochs - total * last / (first + last)) <= 0.5


def test_a_recipe_of_one_phase_has_all_epochs() -> None:
    assert named("deep").lasting(3) == named("deep").override({"epochs": 3})


@pytest.mark.parametrize(
    ("total", "fixed", "expected"),
    [
        (0, False, "1 or more"),
        (-3, False, "1 or more"),
        (10**9, False, "less than 1e9"),
        (4, True, "more than the 4 of self-labelling"),
    ],
)
def test_no_phase_is_left_without_an_epoch(total: int, fixed: bool, expected: str) -> None:
    mend = "raise `epochs`, or lower `label_epochs`" if fixed else "change `epochs`"
    with refused(what=f"epochs is {total}", expected=expected, mend=mend):
        named("hybrid").lasting(total, fixed=fixed)


@pytest.mark.parametrize(
    ("name", "changes", "n", "expected"),
    [
        ("hybrid", {}, 1, 32),
        ("hybrid", {}, 923, 32),
        ("hybrid", {}, 924, 33),
        ("hybrid", {}, 1797, 64),
        ("hybrid", {}, 7167, 255),
        ("hybrid", {}, 7168, 256),
        ("hybrid", {}, 60_000, 256),
        ("hybrid", {"steps": 0}, 100, 256),
        ("hybrid", {"steps": 1}, 100, 100),
        ("hybrid", {"batch_size": 7}, 100, 7),
        ("baseline", {}, 100, 64),
        ("deep", {"batch_size": 7}, 100, 7),
    ],
)
def test_few_images_are_cut_into_smaller_batches(
    name: str, changes: dict[str, object], n: int, expected: int
) -> None:
    """Into 28 steps, but of 32 images or more."""
    assert named(name).override(changes).batch_of(n) == expected


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


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        named("baseline").lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ((), False),
        (("sphere", "pca:20"), False),
        (("kpca:200", "pca:3"), False),
        (("tsne:2",), True),
        (("sphere", "kpca:200", "tsne:2"), True),
        (("tsne:3", "pca:2"), True),
    ],
)
def test_only_tsne_makes_a_chain_transductive(reduction: tuple[str, ...], expected: bool) -> None:
    assert building(reduction=reduction)().transductive is expected


@pytest.mark.parametrize("method", REDUCTIONS)
def test_reductions_are_read_as_method_and_size(method: str) -> None:
    assert parse_reduction(f"{method}:3") == (method, 3)
    assert parse_reduction("sphere") == ("sphere", 0)


# -- JSON -----------------------------------------------------------------------------------------


@PATIENT
@given(recipes())
def test_json_and_back_is_the_same_recipe(recipe: Recipe) -> None:
    stored = json.loads(json.dumps(recipe.to_json(), allow_nan=False))
    assert stored == recipe.to_json()
    assert Recipe.from_json(stored) == recipe


def test_json_holds_every_field_and_lists_for_tuples() -> None:
    expected = BASELINE | {"channels": [64, 128, 256], "reduction": ["kpca:200", "tsne:2"]}
    assert named("baseline").to_json() == expected


@pytest.mark.parametrize("field", LATER)
def test_json_of_before_there_was_a_field_has_nothing_in_it(field: str) -> None:
    nothing = {f.name: f.default for f in dataclasses.fields(Recipe) if f.name in LATER}
    assert not nothing[field]
    recipe = named("hybrid").override(nothing)
    stored = {n: v for n, v in recipe.to_json().items() if n != field}
    assert Recipe.from_json(stored) == recipe


@pytest.mark.parametrize("field", [field for field in FIELDS if field not in LATER])
def test_json_without_a_field_is_no_recipe(field: str) -> None:
    stored = {n: v for n, v in named("hybrid").to_json().items() if n != field}
    with refused(what=f"the recipe has no {field}", mend="the file is not aeclust's"):
        Recipe.from_json(stored)


# -- override -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given_value", "expected"),
    [
        ("momentum", "0.9", 0.9),
        ("momentum", "0", 0.0),
        ("lr", "1e-3", 0.001),
        ("lr", 1, 1.0),
        ("epochs", "7", 7),
        ("batch_norm", "true", True),
        ("batch_norm", "False", False),
        ("channels", "4,8", (4, 8)),
        ("channels", "4, 8", (4, 8)),
        ("channels", [4, 8], (4, 8)),
        ("reduction", "kpca:200,tsne:2", ("kpca:200", "tsne:2")),
        ("reduction", "none", ()),
        ("reduction", "", ()),
        ("reduction", ["pca:5"], ("pca:5",)),
        ("clusterer", " gmm", "gmm"),
        ("precision", "auto", "auto"),
        ("k", "auto", 0),
        ("k", "3", 3),
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


# -- what is refused ------------------------------------------------------------------------------

WHOLE, FINITE, TRUTH = "a whole number", "a finite number", "true or false"
POSITIVE, FROM_0, FROM_1 = "a number above 0", "0 or more", "1 or more"
CLUSTERS = "2 clusters or more, or auto"
STAGES = "one positive number for each of 1 to 16 encoder stages"
CLUSTERINGS = "one of " + ", ".join(choices("clusterer"))
METHODS = "sphere, or METHOD:SIZE with METHOD one of pca, kpca, tsne"
RECIPE_NAMES = "one of baseline, vae, deep, hybrid, pretrained, features"
FIELD_NAMES = "one of " + ", ".join(name for name in BASELINE if name != "name")
PRINTED, DIGITS = "printable characters", "64 hexadecimal digits"
PRECISIONS = "one of float32, bfloat16, auto"
NEEDLESS = "nothing without a frozen encoder"
FROZEN = "none, or `recipe` pretrained"
NAMED = "the name of one or its file, because the network has a frozen encoder"
KERNELS = "adam, adamw or sgd, because muon rescales kernels, which needs batch normalisation"


def halving(stages: int) -> str:
    return f"a multiple of {2**stages}, because {stages} stages halve the image"


@pytest.mark.parametrize(
    ("make", "field", "value", "expected"),
    [
        # types
        (overriding(lr="fast"), "lr", "fast", FINITE),
        (overriding(lr="nan"), "lr", float("nan"), FINITE),
        (overriding(lr=10**400), "lr", 10**400, FINITE),
        (overriding(beta=None), "beta", None, FINITE),
        (building(lr=1), "lr", 1, FINITE),
        (reading(lr="0.1"), "lr", "0.1", FINITE),
        (overriding(epochs="2.5"), "epochs", "2.5", WHOLE),
        (overriding(epochs=True), "epochs", True, WHOLE),
        (overriding(epochs="auto"), "epochs", "auto", WHOLE),
        (overriding(k="Auto"), "k", "Auto", f"{WHOLE}, or auto"),
        (overriding(batch_norm="yes"), "batch_norm", "yes", TRUTH),
        (overriding(batch_norm=1), "batch_norm", 1, TRUTH),
        (overriding(channels="4,x"), "channels", (4, "x"), "whole numbers"),
        (overriding(channels=4), "channels", 4, "whole numbers"),
        (overriding(channels=[True]), "channels", (True,), "whole numbers"),
        (building(channels=[4, 8]), "channels", [4, 8], "whole numbers"),
        (overriding(reduction=[3]), "reduction", (3,), "texts"),
        (reading(name=3), "name", 3, "a text"),
        # choices
        (overriding(optimizer="rmsprop"), "optimizer", "rmsprop", "one of adam, adamw, sgd, muon"),
        (overriding(loss=["mse"]), "loss", ("mse",), "one of mse, elbo"),
        (overriding(clusterer="birch"), "clusterer", "birch", CLUSTERINGS),
        # ranges
        (overriding(min_cluster_size=1), "min_cluster_size", 1, "2 or more, or 0"),
        (building(clusterer="hdbscan", k=3), "k", 3, "auto with clusterer hdbscan"),
        (overriding(lr="0"), "lr", 0.0, POSITIVE),
        (overriding(lr=1e31), "lr", 1e31, "1e30 or less"),
        (overriding(temperature=0), "temperature", 0.0, POSITIVE),
        (overriding(perplexity=-1), "perplexity", -1.0, POSITIVE),
        (overriding(beta=-0.5), "beta", -0.5, FROM_0),
        (overriding(weight_decay=-1), "weight_decay", -1.0, FROM_0),
        (overriding(weight_decay=1e39), "weight_decay", 1e39, "1e30 or less"),
        (overriding(contrast=-1), "contrast", -1.0, FROM_0),
        (overriding(reconstruction=-1), "reconstruction", -1.0, FROM_0),
        (overriding(momentum=-0.1), "momentum", -0.1, FROM_0),
        (overriding(momentum="1"), "momentum", 1.0, "less than 1"),
        (overriding(batch_size=0), "batch_size", 0, FROM_1),
        (overriding(epochs="0"), "epochs", 0, FROM_1),
        (overriding(epochs=10**9), "epochs", 10**9, "less than 1e9"),
        (overriding("hybrid", label_epochs=10**9), "label_epochs", 10**9, "less than 1e9"),
        (overriding(label_epochs=-1), "label_epochs", -1, FROM_0),
        (overriding(steps=-1), "steps", -1, FROM_0),
        (overriding(latent_size=-1), "latent_size", -1, FROM_0),
        (overriding(k=1), "k", 1, CLUSTERS),
        (overriding(k=0), "k", 0, CLUSTERS),
        (overriding(k=-1), "k", -1, CLUSTERS),
        (overriding(channels="none"), "channels", (), STAGES),
        (overriding(channels="4,0"), "channels", (4, 0), STAGES),
        (building(channels=(1,) * 17), "channels", (1,) * 17, STAGES),
        # fields that must fit each other
        (overriding(image_size="36"), "image_size", 36, halving(3)),
        (overriding("deep", image_size=16), "image_size", 16, halving(5)),
        (overriding(image_size=0), "image_size", 0, halving(3)),
        (overriding(variational="true"), "latent_size", 0, "1 or more if variational"),
        (overriding(loss="elbo"), "loss", "elbo", "mse without a variational network"),
        (overriding(reconstruction="0"), "reconstruction", 0.0, "above 0 where contrast is 0"),
        (overriding("hybrid", contrast=0), "label_epochs", 4, "0 where contrast is 0"),
        (overriding("hybrid", batch_size=1), "batch_size", 1, "2 or more with contrast"),
        (
            overriding("hybrid", batch_size=1, contrast=0, label_epochs=0),
            *("batch_size", 1, "2 or more with network residual or frozen"),
        ),
        (overriding(optimizer="muon"), "optimizer", "muon", KERNELS),
        (overriding(encoder="timm:resnet18"), "encoder", "timm:resnet18", FROZEN),
        (overriding("pretrained", encoder=""), "encoder", "", NAMED),
        (overriding(encoder_input="range=0:1"), "encoder_input", "range=0:1", NEEDLESS),
        (overriding(encoder_sha256="0f" * 32), "encoder_sha256", "0f" * 32, NEEDLESS),
        (overriding("hybrid", enlarge=3), "enlarge", 3.0, NEEDLESS),
        (overriding("hybrid", drawn_size=32), "drawn_size", 32, NEEDLESS),
        (overriding("pretrained", network="residual"), "encoder", "efficientnet-lite0", FROZEN),
        (overriding("pretrained", encoder="a\tb"), "encoder", "a\tb", PRINTED),
        (overriding("pretrained", encoder_input="a\0b"), "encoder_input", "a\0b", PRINTED),
        (overriding("pretrained", encoder_sha256="0F" * 32), "encoder_sha256", "0F" * 32, DIGITS),
        (overriding("pretrained", encoder_sha256="0f"), "encoder_sha256", "0f", DIGITS),
        (overriding("pretrained", enlarge=-1), "enlarge", -1.0, FROM_0),
        (overriding("pretrained", enlarge="inf"), "enlarge", float("inf"), FINITE),
        (overriding("pretrained", drawn_size=0), "drawn_size", 0, halving(3)),
        (overriding("pretrained", drawn_size=36), "drawn_size", 36, halving(3)),
        (overriding("pretrained", image_size=0), "image_size", 0, FROM_1),
        (overriding("pretrained", image_size=-32), "image_size", -32, FROM_1),
        (overriding("pretrained", contrast=1), "contrast", 1.0, "0 with network frozen"),
        (overriding("pretrained", label_epochs=1), "label_epochs", 1, "0 where contrast is 0"),
        (
            overriding("pretrained", variational=True, latent_size=9),
            *("variational", True, "false with network frozen"),
        ),
        (
            overriding("pretrained", batch_size=1),
            "batch_size",
            1,
            "2 or more with network residual or frozen",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    make: Callable[[], Recipe], field: str, value: object, expected: str
) -> None:
    with refused(what=f"{field} is {value!r}", where="", expected=expected) as caught:
        make()
    assert caught.value.mend in (f"change `{field}`", "restore the file, or make it anew")


@pytest.mark.parametrize(
    "step",
    ["umap:2", "pca", "sphere:2", "Sphere", "pca:0", "pca:-2", "pca:2.5", "pca:²", "none",
     "pca:" + "9" * 5000],
)  # fmt: skip
def test_a_reduction_that_does_not_fit_is_refused(step: str) -> None:
    usual = "for example pca:20 or kpca:200,tsne:2, or none"
    with refused(what=f"reduction is {step!r}", expected=METHODS, mend=usual):
        building(reduction=("pca:30", step))()


def test_tsne_takes_few_dimensions() -> None:
    with refused(what="reduction is 'tsne:4'", expected="at most 3 t-SNE dimensions"):
        overriding(reduction="pca:20,tsne:4")()


OTHERWISE = "choose one of these"


@pytest.mark.parametrize(
    ("make", "what", "expected", "near"),
    [
        (lambda: named("hybird"), "no recipe is called 'hybird'", RECIPE_NAMES, "hybrid"),
        (lambda: named("zzz"), "no recipe is called 'zzz'", RECIPE_NAMES, ""),
        (overriding(momentun=1), "no recipe field is called 'momentun'", FIELD_NAMES, "momentum"),
        (overriding(name="mine"), "no recipe field is called 'name'", FIELD_NAMES, ""),
        (reading(epoch=3), "no recipe field is called 'epoch'", FIELD_NAMES, "epochs"),
        (overriding(reduction="kcpa:20"), "reduction is 'kcpa:20'", METHODS, "kpca:20"),
        (overriding(precision="float16"), "precision is 'float16'", PRECISIONS, "bfloat16"),
    ],
)
def test_a_near_name_is_offered(
    make: Callable[[], object], what: str, expected: str, near: str
) -> None:
    with refused(what=what, expected=expected, mend=f"did you mean {near}?" if near else OTHERWISE):
        make()


def test_a_wrong_field_is_one_line() -> None:
    with pytest.raises(InputError) as caught:
        overriding(k=1)()
    assert caught.value.line() == "k is 1; expected 2 clusters or more, or auto; change k"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"k 3", "Expected '=' after a key in a key/value pair (at line 1, column 3)"),
        (b"#" * (2**20 + 1), "larger than 1 MB"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
    ids=["not TOML", "huge", "not UTF-8"],
)
def test_a_config_file_that_cannot_be_read(content: bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    with refused(what="there is no such file", where=str(file), mend="check the path"):
        read_toml(file)
    file.write_bytes(content)
    with refused(
        what=f"cannot be read ({problem})", where=str(file),
        expected="TOML with one recipe field a line", mend="correct it",
    ):  # fmt: skip
        read_toml(file)


def test_a_config_file_gives_fields(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('k = "auto"\nlr = 1e-3\nchannels = [4, 8]\nreduction = "none"\nbeta = 2\n')
    assert named("baseline").override(read_toml(file)) == dataclasses.replace(
        named("baseline"), k=0, lr=1e-3, channels=(4, 8), reduction=(), beta=2.0
    )


def test_a_toml_file_of_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b'\xef\xbb\xbfrecipe = "vae"\r\nepochs = 5\r\n')
    assert read_toml(tmp_path / "run.toml") == {"recipe": "vae", "epochs": 5}
