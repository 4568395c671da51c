"""Keys of the section `input` that have no effect, do not fit together, or name what is not there."""

import pytest

from coursekit.study.settings import Study
from coursekit.study.settings.input import Constituents, Images, Input, LabelBranch

ONE = {"files": ["a.root"]}
GOOD = {"signals": {"s": ONE}, "backgrounds": {"b": ONE}, "features": ["pt", "eta"]}
JETS = {"signals": {"s": ONE}, "backgrounds": {"b": ONE}}


def test_classes_in_their_order():
    assert Input(**GOOD).class_names == ("background", "signal")
    label = {"branch": "flavour", "classes": {5: "b", 0: "light"}}
    both = Input(signals={"j": ONE | {"label": label}}, backgrounds={"q": ONE | {"label": "light"}}, features=["pt"])
    assert both.class_names == ("light", "b")
    assert both.labels("signals") == ["b", "light"]
    assert Input(**GOOD, classes=["signal", "background"]).class_names == ("signal", "background")
    assert isinstance(both.signals["j"].label, LabelBranch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signals": {}, "backgrounds": {}}, "there is no sample"),
        ({"constituents": {"features": ["a"], "with_features": True}, "features": []}, "there are no features: name"),
        ({"features": ["pt", "pt"]}, "features names pt twice"),
        ({"spectators": ["mll", "mll"]}, "spectators names mll twice"),
        ({"spectators": ["pt"]}, "pt is in features and in spectators"),
        ({"features": []}, "a network sees features, constituents, or images"),
        ({"backgrounds": {"s": ONE}}, "two samples have the name s"),
        ({"signals": {"s": {"files": ["a.root", "a.root"]}}}, "names a.root twice"),
        ({"data": {"d": ONE | {"label": "signal"}}}, "data.d.label has no effect: data are never trained on"),
        ({"data": {"d": ONE | {"weight": "w"}}}, "data.d.weight has no effect"),
        ({"classes": ["background", "sginal"]}, "no sample has as its label; did you mean 'signal'"),
        ({"classes": ["background"]}, "classes: signal;"),
        ({"classes": ["signal", "signal", "background"]}, "classes names signal twice"),
        ({"targets": {"signl": {"mean": 1}}}, "targets: signl; did you mean 'signal'"),
        ({"targets": {"signal": {}}}, "exactly one of sum and mean"),
        ({"targets": {"signal": {"sum": 1, "mean": 1}}}, "exactly one of sum and mean"),
        ({"targets": {"signal": {"sum": 1, "of": "all"}}}, "targets.signal.of: all;"),
        ({"reweight": {"bins": {"pt": [0, 1]}}}, "at least 2 items"),
        ({"reweight": {"bins": {"pt": [0, 1], "eta": [0, 1]}, "target": "flatt"}}, "did you mean 'flat'"),
        ({"reset": {"mass": {}}}, "reset: mass; there is no such feature"),
        ({"reset": {"pt": {"classes": ["bkg"]}}}, "reset.pt.classes: bkg;"),
        ({"reset": {"pt": {"training": ()}}}, "at least one value"),
        ({"defaults": {"ptt": -1}}, "defaults: ptt; did you mean 'pt'"),
        ({"checks": {"no_pt": "pt"}}, "looks at a feature with a default"),
        ({"defaults": {"pt": -1}, "checks": {"eta": "pt"}}, "eta is the name of a feature"),
        ({"defaults": {"pt": -1}, "checks": {"a": "pt", "b": "pt"}}, "two checks look at pt"),
        ({"fill": "median"}, "fill has no effect without defaults"),
        ({"missing": "fill"}, "give defaults"),
        ({"scale": "none", "defaults": {"pt": -1}}, "with scale: none they have no effect"),
        ({"mixtures": [0.5]}, "two signal fractions"),
        ({"mixtures": [0.5, 1.5]}, "two signal fractions"),
        ({"mixtures": [0.5, 0.5]}, "the same signal fraction"),
        ({"target": "pt"}, "is in features too"),
        ({"split": {"fractions": [0.5, 0.2, 0.2]}}, "add up to 1"),
        ({"memory": "much"}, "pattern"),
        ({"cut": "pt >"}, "cut: 'pt >' is no expression"),
        ({"derived": {"x": "import os"}}, "derived.x: 'import os' is no expression"),
        ({"signals": {"s": ONE | {"cut": "pt.x"}}}, "attribute"),
        ({"images": {}}, "features are not seen beside images"),
        ({"constituents": {"momenta": "flow"}}, "features are not seen beside constituents"),
        ({"constituents": {"features": ["a"], "with_features": True}, "images": {}}, "name one of them"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Input(**GOOD | changes)


def test_what_is_refused_where_something_is_trained():
    data = {"signals": {}, "backgrounds": {}, "data": {"d": ONE}}
    applied = {"name": "a", "steps": ["apply"], "trained": "runs/a"}
    for changes, message in (
        (data | {"classes": ["background", "signal"]}, "neither a sample in signals nor one in backgrounds"),
        ({"classes": ["background", "signal", "other"]}, "classes names other, which no sample has as its label"),
    ):
        with pytest.raises(ValueError, match=message):
            Study(job={"name": "a"}, input=GOOD | changes)
        Study(job=applied, input=GOOD | changes)
    with pytest.raises(ValueError, match="there are only data: say the classes"):
        Study(job=applied, input=GOOD | data)


@pytest.mark.parametrize(
    ("section", "keys", "message"),
    [
        (Constituents, {}, "either momenta or features"),
        (Constituents, {"momenta": "flow", "features": ["a"]}, "either momenta or features"),
        (Constituents, {"momenta": "flow", "with_features": True}, "neither derived nor"),
        (Constituents, {"features": ["a"], "upright": True}, "upright turns momenta"),
        (Constituents, {"features": ["a", "a"]}, "names a twice"),
        (Images, {"kind": "study", "pixels": 20}, "pixels has no effect"),
    ],
)
def test_what_is_refused_of_jets(section, keys, message):
    with pytest.raises(ValueError, match=message):
        section(**keys)


def test_sets_and_pictures_have_no_features_of_their_own():
    assert Input(**JETS, constituents={"momenta": "relative"}).constituents.names[0] == "d_eta"
    assert Input(**JETS, images={}).images.pixels == 40
