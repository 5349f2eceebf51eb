"""Every page, run as Streamlit runs it: in the app, alone, on every shipped model, and with
nonsense in the address.
"""

import collections
import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests import facts
from tests.conftest import forget_all
from vizlib import datasets
from vizlib.inside import strongest
from vizlib.reports import systems
from vizlib.run import folders, moments
from vizlib.run.verdict import COLLAPSED, judge_run
from vizlib.ui.parts import run_cards

pytestmark = pytest.mark.usefixtures("brief_evidence")
ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "pages").glob("*.py"))
SHIPPED = [run.run_id for run in folders.list_runs()[0]]
TIMEOUT = 60


def opened(file, **query):
    """A page run once, with these parameters in its address."""
    app = AppTest.from_file(str(file), default_timeout=TIMEOUT)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def texts(app):
    return " ".join(
        element.value
        for kind in ("markdown", "title", "caption", "error", "warning", "info", "success")
        for element in app.get(kind)
    )


def fine(app):
    """The page ended, with a title, no exception and no error box."""
    assert not app.exception, app.exception
    assert not app.error, [box.value for box in app.error]
    assert app.title[0].value
    return app


@pytest.fixture(autouse=True)
def fresh_caches(monkeypatch, tmp_path):
    """No run of an earlier test in a cache, none of this machine's own runs in the list; and no
    search for the strongest images, which would go on beside the next tests.
    """

    monkeypatch.setattr(strongest, "of_run", lambda *given: None)
    monkeypatch.setenv("CONVSCOPE_RUNS", str(tmp_path / "runs"))
    forget_all()
    return tmp_path / "runs"


@pytest.mark.parametrize("page", [ROOT / "app.py", *PAGES], ids=lambda page: page.stem)
def test_page_alone(page):
    app = fine(opened(page))
    if page.stem not in ("2_Filters", "7_Film"):  # which open on the largest filters
        assert app.selectbox(key="model").value == "resnet32"


def walked(app):
    """The app on each page in turn, with the page's name, as somebody goes through them by the
    menu: what is loaded once stays.
    """
    for page in PAGES:
        yield app.switch_page(f"pages/{page.name}").run(), page.stem


def every_page(**query):
    """The same, Home first."""
    app = opened(ROOT / "app.py", **query)
    yield app, "app"
    yield from walked(app)


def test_every_page_from_home_keeps_the_model():
    home = fine(opened(ROOT / "app.py"))
    home.selectbox(key="model").set_value("lenet").run()
    home.query_params["model"] = "lenet"  # a browser's address follows by itself
    for app, page in walked(home):
        assert fine(app).selectbox(key="model").value == "lenet", page


@pytest.mark.walk
@pytest.mark.parametrize("run_id", SHIPPED)
def test_every_shipped_model_on_every_page(data_folder, run_id):
    """Of its own folder alone: with no other data than the digits, which are always there."""
    for app, page in every_page(model=run_id):
        # a red box, on purpose
        is_verdict = "Confusion" in page and judge_run(folders.open_run(run_id)).level == COLLAPSED
        assert not app.exception, (page, app.exception, app.error)
        assert len(app.error) == is_verdict, (page, app.exception, app.error)
        assert app.title[0].value, page
        assert app.selectbox(key="model").value == run_id, page


def test_every_layer_of_a_network():
    app = fine(opened(ROOT / "pages/3_Feature_maps.py", model="lenet"))
    for layer in app.selectbox(key="layer").options:
        fine(app.selectbox(key="layer").set_value(layer).run())
        for scale in ("map", "layer", "network"):
            fine(app.segmented_control(key="scale").set_value(scale).run())


def test_every_filter_of_every_convolution():
    app = fine(opened(ROOT / "pages/2_Filters.py", model="lenet"))
    for layer in app.selectbox(key="layer").options:
        fine(app.selectbox(key="layer").set_value(layer).run())
    assert app.number_input(key="unit").max == 15
    app.number_input(key="unit").set_value(15).run()
    assert "Filter 15" in texts(fine(app))


def test_unknown_names_in_the_address_are_named_and_the_page_goes_on():
    app = opened(
        ROOT / "pages/3_Feature_maps.py",
        model="resnet33",
        layer="conv99",
        unit="-4",
        photo="dragon",
        scale="huge",
    )
    fine(app)
    said = " ".join(box.value.replace("\\", "") for box in app.warning)
    assert "no model named 'resnet33'" in said
    assert "no layer named 'conv99'" in said
    assert "no photograph named 'dragon'" in said
    assert "resnet32" in said
    assert "conv1" in said
    assert app.selectbox(key="layer").value == "conv1"


def test_home_says_the_verdict_of_the_collapsed_model():
    said = texts(fine(opened(ROOT / "app.py", find="collapsed")))
    assert ":red-badge[:material/error: collapsed]" in said
    assert "100 % of 671 predictions are airplane" in said.replace("\\", "")
    assert "of predictions" not in said
    said = texts(fine(opened(ROOT / "app.py", find="resnet32 residual")))
    assert ":green[:material/check_circle:] **" in said, "a tick where all is well"
    assert "not collapsed" not in said


def test_home_says_what_was_reported_beside_ours(fresh_caches, monkeypatch):
    """On the pages of the reports' networks, beside each of which stand all that grade pictures."""
    for name, system in (("again", "B2"), ("unheard", "Z9"), ("odd", ["B2"])):
        config = json.loads((folders.SHIPPED / "lenet/config.json").read_text()) | {
            "system": system
        }
        broken(fresh_caches, name, config__json=json.dumps(config).encode())
    shipped = [folders.open_run(name) for name in SHIPPED]
    graded = [run for run in shipped if run.config.ordered]
    a_page = run_cards.COLUMNS * run_cards._ROWS[run_cards.REPORTS]
    pages = range(1, 1 + math.ceil((len(shipped) - len(graded)) / a_page))
    monkeypatch.setitem(run_cards._ROWS, run_cards.GRADED, len(graded))
    said = "".join(
        texts(fine(opened(ROOT / "app.py", reports=str(number)))).replace("\\", "")
        for number in pages
    )
    told = [
        systems.system_of(run).told
        for run in shipped
        # a start for others is of no report
        if run.config.system and not run.run_id.endswith("_start") and run not in graded
    ]
    on_each = ["81.3% validation", *(systems.system_of(run).told for run in graded)]
    expected = sorted(
        text.replace("retina", "on retina pictures").replace("F2", systems.SYSTEMS["F2"].run)
        for text in [*told, *len(pages) * on_each]
        if text != "–"
    )
    assert len(pages) > 1
    assert sorted(re.findall(r"the report: ([^]]*)]", said)) == expected
    assert not re.search(r"csv-|python -m|\b[A-F]\d\b", said), "no insider words"


def test_collapsed_model_is_called_so_on_its_page():
    app = opened(ROOT / "pages/8_Confusion_matrix.py", model="collapsed_lenet")
    assert not app.exception
    assert len(app.error) == 1
    assert "Collapsed" in app.error[0].value
    assert "Imbalance" in app.error[0].value


def test_click_on_a_cell_opens_it():
    app = fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="lenet"))
    app.session_state["matrix_first"] = {
        "selection": {
            "points": [{"customdata": {"0": 5, "1": 3}}],
            "point_indices": [53],
            "box": [],
            "lasso": [],
        }
    }
    app.session_state["true_first"], app.session_state["predicted_first"] = "dog", "cat"
    assert "**dog** answered **cat**" in texts(fine(app.run()))


def test_two_runs_side_by_side():
    app = fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="resnet32", beside="plain32"))
    assert len(app.success) == 2
    app = fine(opened(ROOT / "pages/6_Training_curves.py", model="resnet32"))
    app.multiselect(key="with").set_value(["plain32", "lenet"]).run()
    assert "**plain32**" in texts(fine(app))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"this is no picture", "not a picture"),
        ((ROOT / "vizlib/photographs/cat.jpg").read_bytes()[:2000], "damaged"),
    ],
)
def test_upload_that_is_no_picture(data, reason):
    app = opened(ROOT / "app.py", source="upload").switch_page("pages/3_Feature_maps.py")
    fine(app.run())
    app.file_uploader(key="upload").set_value(("../../x.png", data, "image/png")).run()
    assert not app.exception
    assert len(app.error) == 1
    assert reason in app.error[0].value.replace("\\", "")
    app.file_uploader(key="upload").set_value(
        ("cat.jpg", (ROOT / "vizlib/photographs/cat.jpg").read_bytes(), "image/jpeg")
    ).run()
    assert "It answers" in texts(fine(app))
    app.switch_page("pages/2_Filters.py").run()
    app.switch_page("pages/3_Feature_maps.py").run()
    assert "It answers" in texts(fine(app)), "the picture brought is kept across pages"


def test_camera():
    app = opened(ROOT / "app.py", source="camera").switch_page("pages/3_Feature_maps.py")
    app.run()
    assert "Choose an image" in texts(fine(app))
    app.camera_input(key="camera").set_value(
        ("photo.jpg", (ROOT / "vizlib/photographs/coffee.jpg").read_bytes(), "image/jpeg")
    ).run()
    assert "It answers" in texts(fine(app))


def test_download_of_a_missing_data_set(monkeypatch, tmp_path):
    """The button fetches, unpacks and lists it; where the host cannot be reached it says so and the
    page goes on.
    """
    import hashlib
    import tarfile

    from vizlib.datasets import cifar10

    (tmp_path / "cifar-10-batches-py").mkdir()
    with tarfile.open(tmp_path / "served.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(cifar10, "ADDRESS", (tmp_path / "nothing.tar.gz").as_uri())
    app = fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="lenet", source="data set"))
    assert "from the 500 that ship" in texts(app)
    app.button(key="download cifar10 sidebar").click().run()
    assert not app.exception
    assert "could not be downloaded" in app.error[0].value
    assert list((tmp_path / "data").iterdir()) == []

    monkeypatch.setattr(cifar10, "ADDRESS", (tmp_path / "served.tar.gz").as_uri())
    monkeypatch.setattr(
        cifar10, "ARCHIVE_MD5", hashlib.md5((tmp_path / "served.tar.gz").read_bytes()).hexdigest()
    )
    app.button(key="download cifar10 sidebar").click().run()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar-10-batches-py"]
    assert not app.exception
    assert "incomplete" in app.error[0].value


@pytest.mark.parametrize(
    ("size", "label"),
    [(None, "Download all"), (23_400_000, "Download all (23 MB)"), (170_498_071, None)],
)
def test_a_download_says_how_large_it_is_where_that_is_known(monkeypatch, data_folder, size, label):
    registered = datasets.readers()["cifar10"]
    if label:
        other = dataclasses.replace(registered, download_bytes=size)
        monkeypatch.setitem(datasets._readers, "cifar10", other)
    app = fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="lenet", source="data set"))
    button = app.button(key="download cifar10 sidebar")
    assert button.label == (label or "Download all (170 MB)")


@pytest.mark.parametrize("page", [ROOT / "app.py", *PAGES], ids=lambda page: page.stem)
def test_the_predictions_of_a_run_are_unpacked_once(monkeypatch, page):
    """Whatever a page shows of them: the matrix, the verdict, the difference to another run's."""
    unpacked, load = collections.Counter(), np.load

    def counted(file, *given, **named):
        unpacked[str(file)] += 1
        return load(file, *given, **named)

    monkeypatch.setattr(np, "load", counted)
    fine(opened(page))
    files = {file: times for file, times in unpacked.items() if "predictions" in file}
    assert set(files.values()) <= {1}, files
    if page.stem in ("app", "8_Confusion_matrix", "10_Compare"):
        assert any("resnet32" in file for file in files), "it shows them"


def broken(folder, name, **files):
    """A copy of a shipped run with some files replaced: bytes, or None to leave one out."""
    target = folder / name
    shutil.copytree(folders.SHIPPED / "lenet", target)
    for file, content in files.items():
        path = target / file.replace("__", ".")
        path.unlink() if content is None else path.write_bytes(content)
    return name


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        (
            "half-weights",
            {
                "model__safetensors": (folders.SHIPPED / "lenet/model.safetensors").read_bytes()[
                    :500
                ]
                if SHIPPED
                else b""
            },
            "",
        ),
        (
            "foreign-weights",
            {
                "model__safetensors": (folders.SHIPPED / "plain32/model.safetensors").read_bytes()
                if SHIPPED
                else b""
            },
            "conv1",
        ),
        ("web-page", {"model__safetensors": b"<!DOCTYPE html><html>404</html>"}, "page"),
    ],
)
def test_run_with_bad_weights(fresh_caches, name, files, reason):
    broken(fresh_caches, name, **files)
    for app, page in every_page(model=name):
        assert not app.exception, page
        assert all(
            "Traceback" not in box.value and "not made for" not in box.value for box in app.error
        )
        if page in (
            "1_Architecture",
            "2_Filters",
            "3_Feature_maps",
            "4_Unit",
            "5_Class_evidence",
            "10_Compare",
            "14_Play",
        ):
            assert len(app.error) == 1
            assert reason in app.error[0].value.replace("\\", "")
        else:
            fine(app)  # what needs no weights is still shown


# A run without its weights


def infos(app):
    return [box.value.replace("\\", "") for box in app.info]


def test_every_page_of_a_run_without_its_weights(weightless):
    for app, page in every_page(model="weightless"):
        said = texts(fine(app)).replace("\\", "")
        # nothing is stored of what they show
        expected = [weightless.missing_weights] * (
            page in ("4_Unit", "5_Class_evidence", "10_Compare", "14_Play")
        )
        assert infos(app) == expected, page
        assert "ended before" not in said, page
        assert ("comes without its weights" in said) == (
            page
            in (
                "2_Filters",
                "3_Feature_maps",
                "4_Unit",
                "5_Class_evidence",
                "10_Compare",
                "14_Play",
            )
        ), page


def test_home_says_what_a_run_without_its_weights_needs(weightless):
    app = fine(opened(ROOT / "app.py"))
    assert not app.code
    assert "weights not included" in texts(app)
    said = texts(opened(ROOT / "pages/4_Unit.py", model="weightless")).replace("\\", "")
    assert "python -m vizlib reproduce B1" in said
    seconds, device = (
        facts.last("plain32", kind, name)
        for kind, name in (("finished", "seconds"), ("started", "device"))
    )
    words = str(device).replace("1 threads", "1 thread")
    assert f"which took {folders.duration(seconds)} ({words})" in said
    # like the card of the run that it is a copy of
    shown = f"**{facts.accuracy('plain32'):.1%}** :small[test images right]"
    assert texts(fine(opened(ROOT / "app.py", find="plain32"))).count(shown) == 2


def test_layers_are_known_without_weights(weightless):
    from vizlib.ui.data import caches

    assert caches.layers(weightless) == caches.layers(folders.open_run("plain32"))


def test_filters_without_weights_are_those_stored(weightless):
    app = fine(opened(ROOT / "pages/2_Filters.py", model="weightless"))
    stored = max(moments.filters(folders.open_run("plain32")))
    assert f"step {stored:,}, the last stored. {weightless.missing_weights}" in texts(app).replace(
        "\\", ""
    )
    assert app.select_slider(key="step").value == "end"
    assert "Filter 0, its 3 input channels" in texts(app)
    app.select_slider(key="step").set_value("64").run()
    assert "As they were at step 64." in texts(fine(app))
    for layer in app.selectbox(key="layer").options[1:4]:
        app.selectbox(key="layer").set_value(layer).run()
        assert infos(fine(app)) == [weightless.missing_weights]
        assert "Filter 0" not in texts(app)


def test_maps_without_weights_are_those_of_the_probe_picture(weightless):
    app = fine(opened(ROOT / "pages/3_Feature_maps.py", model="weightless"))
    said = texts(app).replace("\\", "")
    assert "As it was at step 5,160" in said
    assert "and not yours" in said
    assert weightless.missing_weights in said
    assert "**8 maps**" in said
    app.selectbox(key="layer").set_value("stage3.block5.conv2").run()
    app.select_slider(key="step").set_value("64").run()
    assert "As it was at step 64" in texts(fine(app))
    assert "**64 maps**" in texts(app)


def test_maps_without_weights_and_without_stored_ones(weightless):
    weightless.path("snapshots.safetensors").write_bytes(
        (folders.SHIPPED / "digits_three_layer/snapshots.safetensors").read_bytes()
    )
    for page in ("2_Filters", "3_Feature_maps"):  # its conv1 is not this network's either
        assert infos(fine(opened(ROOT / f"pages/{page}.py", model="weightless"))) == [
            weightless.missing_weights
        ]
    weightless.path("snapshots.safetensors").unlink()
    for app, _ in every_page(model="weightless"):
        fine(app)


def test_a_run_of_ones_own_without_weights(fresh_caches):
    folder = fresh_caches / broken(fresh_caches, "bare", model__safetensors=None)
    (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()) | {"system": None})
    )
    for app, page in every_page(model="bare"):
        assert "ended before" not in texts(fine(app)), page
        assert "reproduce" not in texts(app), page
    said = texts(opened(ROOT / "pages/3_Feature_maps.py", model="bare")).replace("\\", "")
    assert "'bare' comes without its weights. There is no model.safetensors in its folder." in said


def test_unknown_architecture(fresh_caches):
    config = json.loads((folders.SHIPPED / "lenet/config.json").read_text()) | {
        "architecture": "transformer9000"
    }
    broken(fresh_caches, "foreign", config__json=json.dumps(config).encode())
    app = opened(ROOT / "pages/3_Feature_maps.py", model="foreign")
    assert not app.exception
    assert "no architecture named" in app.error[0].value
    assert "resnet32" in app.error[0].value


def test_run_folder_cut_short_is_said_on_home_and_leaves_the_rest(fresh_caches):
    broken(fresh_caches, "cut", config__json=b'{"architecture": "len', events__jsonl=None)
    app = fine(opened(ROOT / "app.py"))
    assert any("'cut' cannot be read" in box.value.replace("\\", "") for box in app.warning)


def test_names_from_files_are_shown_letter_by_letter(fresh_caches):
    config = json.loads((folders.SHIPPED / "lenet/config.json").read_text())
    hostile = "![x](http://evil.example/x.png) <b>"
    broken(
        fresh_caches,
        "hostile",
        config__json=json.dumps(
            config | {"title": hostile, "class_names": [hostile, *config["class_names"][1:]]}
        ).encode(),
    )
    for app, page in every_page(model="hostile"):
        assert not app.exception
        assert not any(
            hostile in element.value
            for kind in ("markdown", "caption", "success")
            for element in app.get(kind)
        ), page


def test_two_sessions_on_one_model_never_mix_their_maps():
    """Threads as Streamlit's sessions are: each its own picture, one shared model; every map must
    be its own picture's.
    """
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import torch

    from vizlib import architectures
    from vizlib.inside import activations
    from vizlib.run.weights import load_into, load_weights

    run = folders.open_run("resnet32")
    model = activations.prepare(
        load_into(architectures.create("resnet32"), load_weights(run.path("model.safetensors")))
    )
    images = torch.randn(8, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    names = ["conv1", "stage2.block1", "stage3.block5"]
    alone = [activations.capture(model, image, names)[1] for image in images]

    def session(number):
        return all(
            np.allclose(found[name], alone[number][name], atol=1e-4)
            for _ in range(12)
            for found in [activations.capture(model, images[number], names)[1]]
            for name in names
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(session, range(8)))


def test_a_number_that_is_none_is_one_sentence():
    for key in ("unit", "index"):
        app = opened(
            ROOT / "pages/3_Feature_maps.py",
            model="digits_three_layer",
            source="data set",
            **{key: "1e400"},
        )
        assert not app.exception
        assert [
            f"'{key}' in the address is no whole number" in box.value.replace("\\", "")
            for box in app.error
        ] == [True]


def test_what_the_next_model_lacks_gives_way_to_its_default():
    app = fine(
        opened(
            ROOT / "pages/3_Feature_maps.py",
            model="resnet32",
            layer="stage3.block5.conv2",
            unit="63",
        )
    )
    assert app.number_input(key="unit").value == 63
    app.selectbox(key="model").set_value("lenet").run()
    assert (fine(app).selectbox(key="layer").value, app.number_input(key="unit").value) == (
        "conv1",
        5,  # of its six the one that answers the photograph most
    )


# The place of a map, and what it sees

MAPS = ROOT / "pages/3_Feature_maps.py"


def place_view(app):
    """What the map beside the input was given, and the map's values."""
    import base64

    import numpy as np

    views = [
        json.loads(element.proto.json)
        for element in fine(app).get("bidi_component")
        if element.proto.component_name.endswith("place_view")
    ]
    if not views:
        return None
    values = np.frombuffer(base64.b64decode(views[0]["values"]), "<f4")
    return views[0], values.reshape(len(views[0]["rows"]), len(views[0]["columns"]))


def test_a_unit_opens_on_its_strongest_place():
    view, values = place_view(opened(MAPS, model="lenet", layer="conv2", unit="3"))
    row, column = view["place"]
    assert values.shape == (10, 10)
    assert values[row, column] == values.max()
    assert (
        view["rows"] == view["columns"] == [[2 * place, 2 * place + 14] for place in range(10)]
    ), "two 5x5 and a pool between, none padded"
    top, left, bottom, right = view["tight"]
    assert 2 * row <= top < bottom <= 2 * row + 14
    assert 2 * column <= left < right <= 2 * column + 14
    share = (bottom - top) * (right - left) / 14**2
    assert (
        f"rows {top} to {bottom - 1}, columns {left} to {right - 1}: {share:.0%} of the pixels"
        in view["more"]
    )
    assert view["heat"]


def test_the_effective_field_is_that_of_the_place_in_the_address():
    from vizlib import architectures
    from vizlib.images import photograph, to_network_input
    from vizlib.inside import activations
    from vizlib.inside.receptive_fields import effective, tight_box
    from vizlib.run.weights import load_into, load_weights

    run = folders.open_run("resnet32")
    _, image = to_network_input(
        photograph("coffee"), run.input_size, run.config.mean, run.config.std
    )
    model = activations.prepare(
        load_into(architectures.create("resnet32"), load_weights(run.path("model.safetensors")))
    )
    expected = tight_box(effective(model, image, "stage2.block1", 6, (3, 5)))
    view, _ = place_view(
        opened(MAPS, model="resnet32", photo="coffee", layer="stage2.block1", unit="6", place="3,5")
    )
    assert view["place"] == [3, 5]
    assert tuple(view["tight"]) == expected


def test_a_silent_value_has_no_effective_field():
    app = opened(MAPS, model="resnet32", layer="relu1", unit="4")
    view, values = place_view(app)
    row, column = (int(place[0]) for place in (values == 0).nonzero())
    app.text_input(key="place").set_value(f"{row},{column}").run()
    view, _ = place_view(app)
    assert view["place"] == [row, column]
    assert view["tight"] is None
    assert "silent for this image" in view["more"]


@pytest.mark.parametrize(
    "place", ["3;5", "-1,4", "x", "1e3,2", "<b>", "٣,٥", "3,5,7", "\x00", "9" * 400]
)
def test_a_place_that_is_none_is_one_sentence(place):
    app = opened(MAPS, model="lenet", place=place)
    view, values = place_view(app)
    assert len(app.warning) == 1
    assert "is no place on a map" in app.warning[0].value
    assert values[tuple(view["place"])] == values.max()
    app.text_input(key="place").set_value("4, 2").run()
    assert not fine(app).warning
    assert place_view(app)[0]["place"] == [4, 2]


@pytest.mark.parametrize("place", ["10,0", "0,10", "99999,99999"])
def test_a_place_too_large_gives_way_to_the_strongest(place):
    app = opened(MAPS, model="lenet", layer="conv2", place=place)
    view, values = place_view(app)
    assert not app.warning
    assert app.text_input(key="place").value == ""
    assert values[tuple(view["place"])] == values.max()


def test_a_place_is_kept_from_layer_to_layer_as_long_as_it_fits():
    app = opened(MAPS, model="lenet", layer="conv1", place="12,3")
    for layer, expected in (
        ("relu1", [12, 3]),
        ("pool1", [12, 3]),
        ("conv2", None),
        ("conv1", None),
    ):
        app.selectbox(key="layer").set_value(layer).run()
        view, values = place_view(app)
        assert (
            view["place"] == expected if expected else values[tuple(view["place"])] == values.max()
        )
    app.selectbox(key="layer").set_value("fc1").run()
    assert place_view(app) is None
    assert "to the whole image" in texts(app)


def test_maps_stored_along_the_training_have_places_without_a_gradient(weightless):
    for model, query in (
        ("weightless", {}),
        ("plain32", {"step": "64"}),
        ("knee_resnet18_flips", {}),
    ):
        app = opened(MAPS, model=model, layer="conv1", **query)
        view, _ = place_view(app)
        assert not view["heat"]
        assert not view["tight"]
        assert not view["more"]
        assert "theoretical" in texts(app)
        assert "effective" not in texts(app)
        assert view["size"] == list(folders.open_run(model).input_size[1:])
        assert view["rows"][0][0] == 0
        assert view["rows"][-1][1] == view["size"][0]


def test_a_run_that_goes_while_in_view_is_named(fresh_caches):

    broken(fresh_caches, "mine")
    app = fine(opened(ROOT / "pages/2_Filters.py", model="mine"))
    shutil.rmtree(fresh_caches / "mine")
    forget_all()
    app.run()
    assert "'mine' is not there any more" in fine(app).warning[0].value
    assert app.selectbox(key="model").value == "resnet32"


# Two runs compared

COMPARE = ROOT / "pages/10_Compare.py"


def said_by(app):
    return texts(fine(app)).replace("\\", "")


def test_compare_says_what_two_runs_have_and_lack():
    said = said_by(opened(COMPARE, model="resnet32", other="plain32", at="50"))
    pair = ("resnet32", "plain32")
    for figure in (
        "| {:,} | {:,} |".format(*map(facts.parameters, pair)),
        "| {:,.0f} s | {:,.0f} s |".format(
            *(facts.last(one, "finished", "seconds") for one in pair)
        ),
        "| {:.1%} | {:.1%} |".format(
            *(facts.last(one, "checkpoint", "val_accuracy") for one in pair)
        ),
        "| {:.1%} | {:.1%} |".format(*map(facts.accuracy, pair)),
        "| not collapsed | not collapsed |",
    ):
        assert figure in said
    assert "resnet32 minus plain32" in said
    assert f"gains the most in **{facts.gains_most(*pair)}**" in said
    assert "tested on different images" not in said
    resnet, plain = (folders.open_run(name) for name in ("resnet32", "plain32"))
    both = [
        predictions.predicted_labels == predictions.labels
        for predictions in map(answers_of, (resnet, plain))
    ]
    assert f"| both | {sum(both[0] & both[1]):,} |" in said
    assert f"| only **plain32** | {sum(~both[0] & both[1]):,} |" in said
    assert "exact McNemar test" in said
    assert "convolution 17 of 33: 32 × 16 × 16" in said
    assert "convolution 16 of 31: 32 × 16 × 16" in said
    assert "One colour scale for both halves" in said
    assert "The shapes are the same, the values are not" in said


def answers_of(run):
    from vizlib.run.predictions import load_predictions

    return load_predictions(run.path("predictions.npz"), len(run.class_names))


@pytest.mark.parametrize(
    ("model", "other"),
    [
        ("resnet32", "plain32"),
        ("plain32", "resnet32"),
        ("three_layer_module", "three_layer_functional"),
        ("three_layer_functional", "three_layer_module"),
        ("lenet", "airbench"),
    ],
)
def test_compare_opens_on_a_telling_pair(model, other):
    assert fine(opened(COMPARE, model=model)).selectbox(key="other").value == other


def test_compare_moves_its_pair_with_the_model_unless_a_hand_chose_it():
    app = fine(opened(COMPARE, model="resnet32"))
    app.selectbox(key="model").set_value("three_layer_module").run()
    assert fine(app).selectbox(key="other").value == "three_layer_functional"
    app.selectbox(key="other").set_value("lenet").run()
    app.selectbox(key="model").set_value("plain32").run()
    assert fine(app).selectbox(key="other").value == "lenet"
    app.button[[button.label for button in app.button].index("⇄ Swap")].click().run()
    assert (fine(app).selectbox(key="model").value, app.selectbox(key="other").value) == (
        "lenet",
        "plain32",
    )
    app.selectbox(key="model").set_value("plain32").run()
    assert fine(app).selectbox(key="other").value == "resnet32", "no run is compared with itself"


def test_the_three_forms_compute_the_same():
    """By themselves, as they were trained from one seed; and with the weights of one in both."""
    app = fine(opened(COMPARE, model="three_layer_module", at="100"))
    assert "Both compute the same" in said_by(app)
    for other in ("three_layer_functional", "three_layer_sequential"):
        app.selectbox(key="other").set_value(other).run()
        app.toggle(key="same_weights").set_value(True).run()
        said = said_by(app)
        assert "Both compute the same" in said
        assert f"{other} with the other's weights" in said
        assert len(answers := re.findall(r"It answers [^.]+\.", said)) == 2
        assert answers[0] == answers[1]
    app.selectbox(key="other").set_value("lenet").run()
    assert not fine(app).toggle, "its weights have other shapes"


def test_compare_runs_tested_on_other_images_and_of_other_sizes():
    said = said_by(opened(COMPARE, model="digits_three_layer", other="resnet32"))
    assert "tested on different images" in said
    assert "There is no difference of the two matrices" in said
    assert "Nothing can be counted image by image" in said
    assert "gets 8 × 8" in said
    assert "gets 32 × 32" in said
    assert "different shapes" in said


@pytest.mark.parametrize(
    "other", ["resnet33", "resnet32", "../../etc/passwd", "<b>", "", "\x00", "🐈" * 200]
)
def test_compare_with_what_is_no_other_run(other):
    app = opened(COMPARE, model="resnet32", other=other)
    assert fine(app).selectbox(key="other").value == "plain32"
    assert len(app.warning) == (1 if other else 0)
    assert all("no second run named" in box.value for box in app.warning)


@pytest.mark.parametrize("at", ["-1", "101", "1e400", "nan", "x", "50.5", "", "9" * 400])
def test_compare_at_a_depth_that_is_none(at):
    app = opened(COMPARE, at=at)
    assert not app.exception
    assert len(app.error) <= 1
    assert 0 <= app.slider(key="at").value <= 100


def test_compare_with_a_run_that_has_half_of_it(fresh_caches):
    """What one lacks is said in its half; the other half is there."""
    broken(fresh_caches, "half", model__safetensors=None, predictions__npz=None)
    app = opened(COMPARE, model="plain32", other="half")
    assert not app.exception
    assert len(app.error) == len(app.info) == 1
    assert "predictions" in app.error[0].value
    assert "without its weights" in app.info[0].value
    said = texts(app).replace("\\", "")
    assert f"**plain32**: {facts.accuracy('plain32'):.1%} of 5,000" in said
    assert "convolution 1 of 31" in said
    assert "62,006" in said
    assert "One colour scale" not in said


def test_compare_needs_a_second_run(monkeypatch, fresh_caches):
    broken(fresh_caches, "only")
    monkeypatch.setattr(folders, "SHIPPED", fresh_caches / "nothing")
    assert "only model here" in texts(fine(opened(COMPARE)))
