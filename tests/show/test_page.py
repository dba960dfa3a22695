"""The report page: what is on it, that nothing on it can act, and that it stays small."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reports import EVIL, EVIL_SEEN, SHAPES, Parsed, decoded, flat, make_report, sizes_of, tiles

from aeclust import recipe as recipes
from aeclust.clusters.curve import Point, summarise
from aeclust.clusters.indicators import Indicators
from aeclust.errors import printable, shortened
from aeclust.show import page as pages
from aeclust.show import palette
from aeclust.show.page import page
from aeclust.show.report import Section, Shown, Step

# -- what is on the page -----------------------------------------------------------------------


def test_points_keep_their_places_and_what_is_said_of_them() -> None:
    made = make_report()
    points = Parsed(page(made)).points
    rows = [int(name) for name in points["ids"]]
    assert sorted(rows) == list(range(60))
    assert rows != sorted(rows)  # or the last cluster would cover the others
    assert points["labels"] == made.mapped.labels[rows].tolist()
    assert points["confidence"] == made.mapped.confidence[rows].tolist()
    drawn = np.stack([points["x"], points["y"]], axis=1)
    assert drawn.min(axis=0).tolist() == [0, 0]
    assert drawn.max() == 10_000
    # one scale on both axes, and a y axis that points down
    spread = float(np.ptp(made.points, axis=0).max())
    low, high = made.points.min(axis=0), made.points.max(axis=0)
    wanted = np.abs(made.points[rows] - [low[0], high[1]]) * 10_000 / spread
    assert np.allclose(drawn, wanted, atol=1)


def test_every_point_has_its_own_thumbnail() -> None:
    made = make_report(1_300, side=32)
    points = Parsed(page(made)).points
    assert len(points["sheets"]["uris"]) == 2
    assert (points["sheets"]["tiles"], points["sheets"]["cell"]) == ([[32, 32]], [32, 32])
    for name, tile in zip(points["ids"], tiles(points["sheets"], 1_300), strict=True):
        wanted = made.mapped.pictures[int(name)].astype(int)
        assert np.abs(tile - wanted).max() <= 8  # flat to its edges: no neighbour bleeds into it


def test_small_pictures_of_the_gallery_lose_nothing() -> None:
    made = make_report(noise=True)
    place = {name: i for i, name in enumerate(made.gallery.ids)}
    images = [a for a, _ in Parsed(page(made)).all("img") if str(a["alt"]).startswith("image ")]
    assert made.reconstructed is not None
    images = images[: -len(made.reconstructed.ids)]
    assert len(images) == sum(len([*p.typical, *p.doubtful, *p.random]) for p in made.picks)
    for attributes in images:
        pixels = made.gallery.pictures[place[str(attributes["alt"]).removeprefix("image ")]]
        assert np.array_equal(decoded(str(attributes["src"])), pixels)
        assert (attributes["width"], attributes["height"], attributes["class"]) == (
            "64",
            "64",
            "pixels",
        )


def test_gallery_stands_in_order_below_its_cluster() -> None:
    made = make_report(names={1: "red barns"})
    parsed = Parsed(page(made))
    wanted = [
        f"{row} {made.mapped.confidence[row]:.2f}"
        for pick in made.picks
        for row in (*pick.typical, *pick.doubtful, *pick.random)
    ]
    captions = [text for _, text in parsed.all("figcaption")]
    assert captions[: len(wanted)] == wanted
    headings = [text for _, text in parsed.all("h3") if "confidence" in text]
    means = [pick.confidence for pick in made.picks]
    assert headings == [
        f"{name} {size} images, confidence {mean:.2f}"
        for name, size, mean in zip(
            ("cluster 0", "1: red barns", "cluster 2"), sizes_of(made), means, strict=True
        )
    ]
    kinds = [text for _, text in parsed.all("h4")]
    assert kinds[:9] == ["Most typical", "Least sure", "Random"] * 3


def test_the_verdict_and_what_to_do_next_come_first_and_what_is_technical_is_folded() -> None:
    made = make_report()
    rows = np.array([7, 3])
    asked = Shown(
        rows, ["7", "3"], made.mapped.labels[rows], made.mapped.confidence[rows],
        [made.mapped.pictures[row] for row in rows],
    )  # fmt: skip
    steps = [Step("name them", "aeclust name --run x 0=..."), Step("check", "aeclust ask", asked)]
    parsed = Parsed(page(dataclasses.replace(made, steps=steps)))
    headings = [text for tag in ("h1", "h2") for _, text in parsed.all(tag)]
    assert headings[:7] == [
        "60 images in 3 clusters", "Next", "Clusters", "Map", "Corrections", "How sure it is",
        "Details",
    ]  # fmt: skip
    opening = parsed.text[: parsed.text.index("Typical images")]
    parts = [made.verdict, "Name them", steps[0].command, "Check", steps[1].command]
    assert sorted(parts, key=opening.index) == parts
    pictures = [a["alt"] for a, _ in parsed.all("img")][:2]
    assert pictures == ["image 7", "image 3"]  # in the order in which to answer
    shown = [int(str(a["data-image"])) for a, _ in parsed.all("figure") if "data-image" in a]
    assert [parsed.points["ids"][i] for i in shown[:2]] == ["7", "3"]
    plain = parsed.text
    for _, text in parsed.all("details"):
        plain = plain.replace(" ".join(text.split()), "")
    for word in ("latent", "member", "random view", "sphere", "consensus", "t‑SNE", "pca"):
        assert word not in plain, word


def test_the_range_begins_and_ends_with_the_data() -> None:
    made = make_report()
    sure = np.linspace(0.2031, 0.9099, 60)
    mapped = dataclasses.replace(made.mapped, confidence=sure)
    text = Parsed(page(dataclasses.replace(made, mapped=mapped)))
    ends = [(a["min"], a["max"], a["value"]) for a, _ in text.all("input") if a["type"] == "range"]
    assert ends == [("0.20", "0.91", "0.20"), ("0.20", "0.91", "0.91")]


def test_outliers_have_a_line_and_a_gallery_of_their_own() -> None:
    made = make_report(outliers=9)
    size = [pick.size for pick in made.picks if pick.cluster >= 0]
    parsed = Parsed(page(made))
    assert parsed.all("title")[0][1] == "51 images in 3 clusters and 9 outliers"
    lines = [text.split("\n")[0] for _, text in parsed.all("th") if "scope" not in text][4:]
    assert lines == ["cluster 0", "cluster 1", "cluster 2", "outliers"]
    assert sum("outliers 9 images, confidence" in text for _, text in parsed.all("h3")) == 1
    assert parsed.points["clusters"] == [0, 1, 2, -1]
    assert parsed.points["labels"][:9] == [-1] * 9  # drawn first, so below all others
    assert sum(size) == 51


def test_sizes_warnings_members_and_errors_are_told() -> None:
    made = make_report(warnings=["cluster 2 is nearly empty"], substitutions=["spectral stood in"])
    parsed = Parsed(page(made))
    assert parsed.all("h1")[0][1] == "60 images in 3 clusters"
    mean = float(made.mapped.confidence.mean())
    for piece in (
        "photos · recipe hybrid · seed 7",
        f"{mean:.2f}",
        "labels that other ways give too, on average87.5%",
        "Look twicecluster 2 is nearly empty",
        "spectral stood in",
        "kmeans in 10 dimensions75.0%",
        "MSE 0.1250",
        "aeclust train photos --recipe hybrid aeclust report",
        "epochs14, then 4 that learn the clusters",
        "torch version2.9",
        f"data SHA-256{'d' * 64}",
        "60 of 8 x 8 pixels, RGB",
    ):
        assert piece in parsed.text, piece
    for j, (_, text) in enumerate(parsed.all("tr")[1:]):
        pick = made.picks[j]
        share = pick.size / 60
        assert text == f"cluster {j}{pick.size}{share:.1%}{pick.confidence:.2f}"
    assert "Look twice" not in page(make_report())


def test_more_images_than_points_are_said_to_be_a_sample() -> None:
    made = make_report()
    assert "drawn at random" not in page(made)
    sampled = dataclasses.replace(made, shape=(70_000, 8, 8, 3))
    assert "60 of 70,000 images, drawn at random with seed 7." in Parsed(page(sampled)).text


def test_small_clusters_share_a_line_when_there_are_many() -> None:
    made = make_report(400, 100, side=2)
    parsed = Parsed(page(made))
    toggles = [a for a, _ in parsed.all("input") if "data-group" in a]
    assert [a["data-group"] for a in toggles] == [*map(str, range(60)), "other"]
    kept = np.sort(np.argsort(-np.array(sizes_of(made)), kind="stable")[:60])
    assert parsed.points["clusters"] == kept.tolist()
    rest = 400 - sum(sizes_of(made)[j] for j in kept)
    assert parsed.all("label")[62][1].split() == ["40", "smaller", "clusters", str(rest)]
    assert len(parsed.points["names"]) == 60
    assert len(parsed.all("tr")) == 62


def test_the_curve_is_drawn_where_there_is_one_and_asked_for_where_not() -> None:
    parsed = Parsed(page(make_report()))
    assert "has not been measured: run aeclust checkpoint-curve to add it" in parsed.text
    assert "loss 4.000 after epoch 1, 3.000 after epoch 2" in parsed.text
    first = dataclasses.replace(recipes.named("hybrid"), epochs=1)
    phases = "; from epoch 2 on the network learns the clusters too, and losses from there on"
    phases += " cannot be compared with those before"
    alts = [str(a["alt"]) for a, _ in Parsed(page(make_report(recipe=first))).all("img")]
    assert alts[-1].endswith(f": loss 4.000 after epoch 1, 3.000 after epoch 2{phases}")
    indicators = Indicators(2.0, 0.25, 0.5, 0.5, 0.5, 0.5)
    points = [Point(e, 0.5 - e / 100, 0.5 + e / 100, indicators) for e in (0, 10, 20)]
    text = Parsed(page(make_report(curve=summarise(points)))).text
    assert "has not been measured" not in text
    assert "MSE 0.5000 after epoch 0, 0.3000 after epoch 20" in text
    assert "validation accuracy 50.0% after epoch 0, 70.0% after epoch 20" in text
    assert "view_neighbours 25.0% after epoch 0, 25.0% after epoch 20" in text
    unlabelled = [dataclasses.replace(point, accuracy=None) for point in points[:1]]
    text = Parsed(page(make_report(curve=summarise(unlabelled), losses=[]))).text
    assert "accuracy" not in text
    assert "MSE 0.5000 after epoch 0" in text
    assert "after epoch 20" not in text


def test_sections_of_others_have_a_figure_and_rows_of_images() -> None:
    pair = Shown(np.arange(2), ["a.jpg", "b.jpg"], np.zeros(2, int), np.ones(2), flat(SHAPES[:2]))
    picture = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    sections = [
        Section("Duplicates", "Two of one.", rows=[("exact", pair), ("near", pair)]),
        Section("Which k", "Nine fits.", figure=picture, words="a line that falls"),
    ]
    parsed = Parsed(page(make_report(sections=sections, remarks=["steered by 20 labels"])))
    assert "photos · recipe hybrid · seed 7 · steered by 20 labels" in parsed.text
    assert "Two of one. exacta.jpgb.jpg" in parsed.text
    folded = {a["id"]: text for a, text in parsed.all("details") if "id" in a}
    assert folded["section-0"].split()[:3] == ["Duplicates", "Two", "of"]
    assert folded["section-1"].split() == ["Which", "k", "Nine", "fits."]
    (drawn,) = [a["src"] for a, _ in parsed.all("img") if a["alt"] == "a line that falls"]
    assert base64.b64decode(str(drawn).partition(",")[2]).decode() == picture


def test_edits_are_told_of_by_exact_ids_rows_sizes_and_neighbours() -> None:
    long = "x" * 250
    made = make_report(30, 3, identify=lambda row: f"{long}{row:02}", names={2: "red barns"})
    few = np.arange(20)  # the others are in the gallery alone
    mapped = dataclasses.replace(
        made.mapped, rows=few, ids=made.mapped.ids[:20], labels=made.mapped.labels[few],
        confidence=made.mapped.confidence[few], pictures=made.mapped.pictures[:20],
    )  # fmt: skip
    made = dataclasses.replace(made, points=made.points[:20], mapped=mapped)
    points = Parsed(page(made)).points
    edit = points["edit"]
    assert (len(points["ids"]), len(points["rest"]["ids"])) == (20, 10)
    assert (edit["possible"], edit["whole"]) == (True, True)
    assert sorted(edit["rows"][:20]) == few.tolist()
    assert edit["rows"][20:] == list(range(20, 30))
    exact = json.loads(edit["exact"])
    assert exact == {str(i): f"{long}{row:02}" for i, row in enumerate(edit["rows"])}
    labels = points["labels"] + points["rest"]["labels"]
    assert edit["sizes"] == [[j, labels.count(j)] for j in range(3)]
    assert edit["names"] == [[2, "red barns"]]
    near = np.array(edit["rows"])[np.array(edit["near"]).reshape(30, edit["each"])]
    assert near.tolist() == [[(row + j) % 30 for j in range(1, 7)] for row in edit["rows"]]
    # other labels have other corrections, the same ones the same
    key = Parsed(page(dataclasses.replace(made, names={}))).points["edit"]["key"]
    assert key != edit["key"] == Parsed(page(made)).points["edit"]["key"]


def test_ids_too_long_for_the_page_are_not_corrected_on_it() -> None:
    long = "x" * 9_000
    edit = Parsed(page(make_report(60, identify=lambda row: f"{long}{row}"))).points["edit"]
    assert (edit["possible"], edit["exact"]) == (False, "{}")
    assert Parsed(page(make_report(editing=None))).points["edit"] is None


# -- what cannot happen on it ------------------------------------------------------------------


def test_the_page_loads_nothing_and_runs_its_own_script_alone() -> None:
    text = page(make_report())
    parsed = Parsed(text)
    for tag, attributes in parsed.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert str(attributes.get("src", "data:")).startswith("data:")
        assert str(attributes.get("href", "#")).startswith("#")
        assert tag not in ("link", "iframe", "object", "embed", "base")
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text

    def hashed(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    (policy,) = [a["content"] for a, _ in parsed.all("meta") if "http-equiv" in a]
    (script,) = [text for attributes, text in parsed.all("script") if not attributes]
    ((_, style),) = parsed.all("style")
    assert policy == (
        f"default-src 'none'; img-src data:; style-src {hashed(style)}; "
        f"script-src {hashed(script)}; base-uri 'none'; form-action 'none'"
    )
    assert "innerHTML" not in script


def test_hostile_names_are_text_and_nothing_else() -> None:
    clean = Parsed(page(make_report()))
    made = make_report(
        identify=lambda row: f"{EVIL}{row}",
        data=EVIL, warnings=[], names={1: EVIL}, substitutions=[EVIL], note=EVIL,
        members={EVIL: 0.5}, versions={EVIL: EVIL}, digests={EVIL: EVIL}, commands=[EVIL, EVIL],
    )  # fmt: skip
    text = page(made)
    parsed = Parsed(text)
    assert [tag for tag, _ in parsed.elements if tag != "p"] == [
        tag for tag, _ in clean.elements if tag != "p"
    ]
    assert not any(a["src"] == "x" for a, _ in parsed.all("img"))
    assert "\u202e" not in text  # what turns the direction of text is spelled out
    assert parsed.points["names"][1] == f"1: {EVIL_SEEN}"
    assert sorted(parsed.points["ids"]) == sorted(f"{EVIL_SEEN}{row}" for row in range(60))
    assert EVIL_SEEN in parsed.text
    raw = text[text.index('id="points">') :]
    raw = raw[len('id="points">') : raw.index("</script>")]
    assert not set("<>&\u2028\u2029") & set(raw)


# -- for everybody -----------------------------------------------------------------------------


def test_headings_labels_and_alternatives_are_complete() -> None:
    parsed = Parsed(page(make_report(warnings=["w"])))
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [str(a["id"]) for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
    assert all(a["alt"] for a, _ in parsed.all("img"))
    assert all("aria-hidden" in a or a.get("aria-label") for a, _ in parsed.all("svg"))
    fields = [a for tag in ("input", "select") for a, _ in parsed.all(tag)]
    named = [a["for"] for a, _ in parsed.all("label") if "for" in a]
    bare = [a for a in fields if a.get("id") not in named]  # they stand in their labels
    assert len(parsed.all("label")) == len(fields) == len(named) + len(bare)
    assert sum("data-group" in a for a in bare) == 3
    assert all(text.strip() for _, text in parsed.all("label"))
    assert {a["href"] for a, _ in parsed.all("a")} <= {f"#{name}" for name in ids}
    assert parsed.all("html")[0][0]["lang"] == "en"


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_colour_shows_on_a_dark_ground() -> None:
    assert len(set(palette.ON_DARK)) == len(palette.ON_DARK) == len(palette.COLOURS)
    ground = luminance("#15181d")
    assert "#15181d" in page(make_report())
    assert all((luminance(c) + 0.05) / (ground + 0.05) >= 3 for c in palette.ON_DARK)
    assert set(palette.SHAPES) == set(palette.MARKERS)


# -- small enough for mail ---------------------------------------------------------------------


def test_ten_thousand_images_of_noise_with_long_names_fit() -> None:
    made = make_report(
        20_000, 900, side=64, noise=True, identify=lambda row: EVIL * 3 + str(row),
        names=dict.fromkeys(range(900), EVIL * 9),
    )  # fmt: skip
    text = page(made)
    assert len(text.encode()) < pages.LIMIT
    points = Parsed(text).points
    assert len(points["ids"]) == 10_000
    assert max(map(len, points["ids"])) <= 200
    assert all(name.endswith(str(int(name[-1]))) for name in points["ids"])  # its end is kept
    assert len(tiles(points["sheets"], 10_000)) == 10_000
    assert max(points["sheets"]["tiles"][0]) >= 16


def test_equal_reports_give_equal_pages() -> None:
    assert page(make_report(noise=True)) == page(make_report(noise=True))
    assert page(make_report()) != page(make_report(seed=8))


@given(st.text(), st.integers(2, 60))
def test_shortened_text_keeps_both_ends_of_what_can_be_seen(text: str, limit: int) -> None:
    seen, short = printable(text), shortened(text, limit)
    assert len(short) <= limit
    assert short.isprintable()
    if len(seen) <= limit:
        assert short == seen
    else:
        head, _, tail = short.rpartition("\N{HORIZONTAL ELLIPSIS}" + seen[-(limit // 2) :])
        assert (head, tail) == (seen[: limit - limit // 2 - 1], "")


def test_points_have_the_shapes_of_the_pictures() -> None:
    assert [palette.marker(group) for group in range(9)] == list("o^sDvPXo^")
    shapes = Parsed(page(make_report(60, 9))).points["shapes"]
    assert len(set(shapes[:7])) == 7
    assert shapes[7:] == shapes[:2]
