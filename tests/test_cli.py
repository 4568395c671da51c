"""The commands that make and change data: they call the package, print what came, and turn errors into one line."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

from coursekit.cli import app
from coursekit.jets import load_jetclass
from coursekit.simulate import flavour, hww, jetclasses, masses, toptag


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "int32"}).extend({"x": np.arange(1000, dtype=np.int32)})
        file["note"] = "left out"
    return path


def test_shuffle(events, tmp_path):
    done = run("shuffle", events, tmp_path / "random.root", "--seed", 3)
    assert done.exit_code == 0, done.output
    assert "1000 events in random order" in done.output
    assert "left out: note" in done.output
    x = uproot.open(tmp_path / "random.root")["Events"]["x"].array(library="np")
    assert not np.array_equal(x, np.arange(1000))
    assert np.array_equal(np.sort(x), np.arange(1000))


def test_shuffle_onto_itself_is_refused_in_one_line(events):
    done = run("shuffle", events, events)
    assert done.exit_code == 1
    assert "is the source itself" in done.output
    assert "Traceback" not in done.output


@pytest.mark.simulation
def test_simulate(tmp_path, monkeypatch):
    for samples in (hww.SAMPLES, masses.SAMPLES):
        for name, sample in samples.items():
            monkeypatch.setitem(samples, name, replace(sample, chunk=100))
    monkeypatch.setattr(toptag, "TOPTAG", replace(toptag.TOPTAG, chunk=50))
    monkeypatch.setattr(flavour, "CHUNK", 50)
    done = run("simulate", "toptag", "--jets", 20, "--folder", tmp_path, "--jobs", 2)
    assert done.exit_code == 0, done.output
    with h5py.File(tmp_path / "toptag_train.h5") as file:
        assert len(file["table/table"]) == 12
    done = run("simulate", "hww", "--events", 5, "--folder", tmp_path)
    assert done.exit_code == 0, done.output
    assert uproot.open(tmp_path / "GluGluHToWWTo2L2Nu_M125.root")["Events"].num_entries == 5
    done = run("simulate", "masses", "--events", 5, "--folder", tmp_path, "--luminosity", 0.01)
    assert done.exit_code == 0, done.output
    assert uproot.open(tmp_path / "WWTo2L2Nu.root")["Events"].num_entries == 20
    done = run("simulate", "flavour", "--jets", 5, "--folder", tmp_path, "--min-pthat", 200, "--no-tracks")
    assert done.exit_code == 0, done.output
    jets = uproot.open(tmp_path / "flavour_hard.root")["jets"]
    assert jets.num_entries == 5
    assert "track_pt" not in jets.keys()  # noqa: SIM118, a tree is no dictionary


@pytest.mark.simulation
def test_simulate_jetclasses(tmp_path, monkeypatch):
    monkeypatch.setattr(jetclasses, "JETCLASSES", replace(jetclasses.JETCLASSES, chunk=20))
    monkeypatch.setattr(jetclasses, "KINDS", {name: jetclasses.KINDS[name] for name in ("Zqq", "Hbb")})
    done = run("simulate", "jetclasses", "--jets", 6, "--seed", 2, "--folder", tmp_path)
    assert done.exit_code == 0, done.output
    assert sorted(load_jetclass(tmp_path / "jetclasses.root")[1]) == [1, 1, 1, 6, 6, 6]


def test_the_cuts_of_the_image_study_can_be_left_out(tmp_path, monkeypatch):
    recipes = []
    monkeypatch.setattr(toptag, "simulate_jets", lambda recipe, *args, **kwargs: recipes.append(recipe) or [])
    for options in ([], ["--no-second-jet", "--interactions"]):
        done = run("simulate", "images", "--folder", tmp_path, *options)
        assert done.exit_code == 0, done.output
    assert [(recipe.second_jet, recipe.multiple_interactions) for recipe in recipes] == [(True, False), (False, True)]


def test_simulate_refuses_nonsense():
    assert run("simulate", "hww", "--events", 0).exit_code == 2
    assert run("simulate", "toptag", "--jets", 9).exit_code == 2
    assert run("simulate", "masses", "--luminosity", -1).exit_code == 2
    assert run("simulate", "flavour", "--min-pthat", 2001).exit_code == 2
    assert run("simulate", "jetclasses", "--jets", 5).exit_code == 2
