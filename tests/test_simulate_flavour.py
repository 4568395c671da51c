"""Jets for flavour tagging: labels, impact parameters, the shipped files, and the way they are made."""

import re
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy.stats import chisquare, ks_2samp

from coursekit.events import load_events
from coursekit.simulate import flavour, simulate_flavour
from coursekit.simulate.flavour import (
    DEFAULTS,
    GROUPS,
    axis_resolution,
    label_jets,
    make_templates,
    tagging_variables,
    template_chunk,
    weakly_decaying,
)
from coursekit.simulate.flavour_closure import flavour_table, rejection_table
from coursekit.simulate.impact import (
    D0_EDGES,
    FLAVOURS,
    Z0_EDGES,
    count_tracks,
    lifetime_signed,
    likelihood_ratios,
    load_templates,
    log_densities,
)
from coursekit.simulate.tracks import Tracks, closest_approach
from tests.test_detector import gun

FLAT = ["event", "pt", "eta", "phi", "flavour", "n_tracks", *DEFAULTS]
TRACK = [f"track_{name}" for name in ("pt", "deta", "dphi", "d0", "d0_error", "z0", "z0_error", "charge")]


@pytest.fixture(scope="module")
def shipped(root):
    return load_events(root / "data" / "flavour.root", tree="jets")


@pytest.fixture(scope="module")
def hard(root):
    return load_events(root / "data" / "flavour_hard.root", tree="jets")


def tracks_of(jets, n):
    """The tracks of the first jets of a file, in a row, with the numbers of each jet's."""
    counts = ak.to_numpy(ak.num(jets["track_pt"]))[:n]
    deta, dphi, *rest = (
        ak.to_numpy(ak.flatten(jets[f"track_{name}"][:n])).astype(float)
        for name in ("deta", "dphi", "pt", "charge", "d0", "d0_error", "z0", "z0_error")
    )
    eta, phi = (np.repeat(jets[name][:n].astype(float), counts) for name in ("eta", "phi"))
    pt, charge, d0, d0_error, z0, z0_error = rest
    return Tracks(pt, eta + deta, phi + dphi, charge, d0, d0_error, z0, z0_error), counts


# --- labels -----------------------------------------------------------------------------------------------------------


def test_the_last_hadron_of_a_chain_decays_weakly():
    # B*- -> B- -> D*0 -> D0; a J/psi, an Upsilon, diquarks, quarks, a pion, baryons, a B_c;
    # a Lambda_c of higher mass with a Lambda_c between two pions, and a B0 that turns into its antiparticle.
    codes = [90, -523, -521, 423, 421, 443, 553, 5101, 4203, 5, 4, 211, 5122, 4232, 541]
    codes += [14122, 211, 4122, 211, 511, -511]
    mother = [0, 0, 1, 2, 3, *[0] * 10, 0, 15, 15, 15, 0, 19]
    particles = gun(codes, [9] * 21, [0] * 21, [0] * 21, charge=np.zeros(21))
    particles = replace(particles, mother=np.array(mother))
    assert particles.pdgid[weakly_decaying(particles, 5)].tolist() == [-521, 5122, 541, -511]
    assert particles.pdgid[weakly_decaying(particles, 4)].tolist() == [421, 4232, 541, 4122]


def test_a_b_hadron_overrules_a_c_hadron_and_both_must_be_near_and_hard():
    codes, pt, phi = [90, 511, 421, 421, 421, 511], [0, 9, 9, 9, 4.9, 4.9], [0, 0.0, 0.1, 1.25, 2.0, 3.0]
    particles = gun(codes, pt, [0] * 6, phi, offsets=[0, 6, 6], charge=np.zeros(6))
    # The second event has a jet where the first has its b hadron.
    jet_phi = np.array([0.05, 1.0, 2.0, 3.0, 1.56, 0.0])
    assert label_jets(particles, np.zeros(6), jet_phi, np.array([5, 1])).tolist() == [5, 4, 0, 0, 0, 0]
    assert label_jets(particles, np.full(6, 0.31), jet_phi, np.array([5, 1])).tolist() == [0] * 6
    assert label_jets(particles, np.zeros(0), np.zeros(0), np.array([0, 0])).tolist() == []


# --- impact parameters ------------------------------------------------------------------------------------------------


def test_decays_in_front_are_positive_and_those_behind_negative():
    rng = np.random.default_rng(4)
    jet_eta, jet_phi = rng.normal(0, 1, 500), rng.uniform(-np.pi, np.pi, 500)
    eta, phi = jet_eta + rng.normal(0, 0.1, 500), jet_phi + rng.normal(0, 0.1, 500)
    direction = np.stack([np.cos(jet_phi), np.sin(jet_phi), np.sinh(jet_eta)])
    for flight, sign in ((3.0, 1), (-3.0, -1)):
        d0, z0 = closest_approach(*(flight * direction), eta, phi)
        tracks = Tracks(*(np.ones(500), eta, phi, np.ones(500)), d0, np.full(500, 0.02), z0, np.full(500, 0.05))
        d0_significance, z0_significance = lifetime_signed(tracks, jet_eta, jet_phi)
        assert d0_significance == pytest.approx(sign * np.abs(d0) / 0.02)
        assert (np.sign(z0_significance) == sign).mean() > 0.9  # exactly so only for tracks with the jet's azimuth


def test_densities_are_normalised_and_nothing_is_impossible():
    templates = load_templates()
    assert templates.shape == (3, 3, len(D0_EDGES) + 1, len(Z0_EDGES) + 1)
    assert np.exp(log_densities(templates)).sum(axis=(2, 3)) == pytest.approx(np.ones((3, 3)))
    assert np.isfinite(log_densities(np.zeros((3, 3, 5)))).all()
    # Light jets: as many tracks behind as in front, but for what strange particles add.
    light = templates[0].sum(axis=(0, 2))
    b = templates[2].sum(axis=(0, 2))
    far, behind = np.append(False, D0_EDGES > 10), np.append(D0_EDGES < -10, False)
    assert b[far].sum() > 6 * b[behind].sum()
    assert b[far].sum() / b.sum() > 0.15
    assert light[far].sum() / light.sum() < 0.01
    assert light[behind].sum() < light[far].sum()


def test_the_ratios_are_sums_over_tracks(shipped):
    tracks, counts = tracks_of(shipped, 200)
    jet_eta, jet_phi = (shipped[name][:200].astype(float) for name in ("eta", "phi"))
    found = likelihood_ratios(tracks, counts, jet_eta, jet_phi)
    templates, first = load_templates() + 1.0, 0
    for i, n in enumerate(counts):
        total = np.zeros((2, 3))
        for k in range(first, first + n):
            d0 = tracks.d0[k] / tracks.d0_error[k] * np.sign(np.sin(jet_phi[i] - tracks.phi[k]))
            z0 = tracks.z0[k] / tracks.z0_error[k] * np.sign(jet_eta[i] - tracks.eta[k])
            momentum = int(tracks.pt[k] >= 2) + int(tracks.pt[k] >= 5)
            a, b = (d0 >= D0_EDGES).sum(), (z0 >= Z0_EDGES).sum()
            plane = templates[:, momentum]
            line = load_templates()[:, momentum].sum(axis=2) + 1.0
            total[0] += np.log(line[:, a] / line.sum(axis=1))
            total[1] += np.log(plane[:, a, b] / plane.sum(axis=(1, 2)))
        first += n
        for name, (light, c, b) in zip(("ip2d", "ip3d"), total, strict=True):
            expected = {"bl": b - light, "bc": b - c, "cl": c - light}
            for pair, value in expected.items():
                assert found[f"{name}_{pair}"][i] == pytest.approx(value, abs=1e-9)
    assert found["ip3d_bl"] == pytest.approx(found["ip3d_bc"] + found["ip3d_cl"])


def test_counts_are_those_of_a_histogram():
    one, zeros = np.ones(3), np.zeros(3)
    tracks = Tracks(np.array([1.0, 3, 9]), zeros, zeros, one, np.array([0.0, 5, -900]), one, zeros, one)
    counts = count_tracks(tracks, np.zeros(3), np.full(3, 0.1), np.array([0, 4, 5]))
    zero = np.searchsorted(Z0_EDGES, 0, side="right")
    assert counts.sum() == 3
    assert counts[0, 0, np.searchsorted(D0_EDGES, 0, side="right"), zero] == 1
    assert counts[1, 1, np.searchsorted(D0_EDGES, 5), zero] == 1
    assert counts[2, 2, 0, zero] == 1


@pytest.mark.simulation
def test_the_templates_are_those_of_fresh_jets(monkeypatch):
    monkeypatch.setattr(flavour, "CHUNK", 400)
    fresh, _ = template_chunk(99, 0)
    for ours, theirs in zip(fresh, load_templates(), strict=True):
        for axis in ((0, 2), (0, 1)):
            expected, seen = theirs.sum(axis=axis).astype(float), ours.sum(axis=axis)
            likely = expected / expected.sum() * seen.sum() > 10
            expected = expected[likely] / expected[likely].sum() * seen[likely].sum()
            assert chisquare(seen[likely], expected).pvalue > 1e-5


def test_templates_can_be_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(flavour, "template_chunk", lambda seed, chunk: (np.full((3, 3, 4, 4), chunk), 40))
    make_templates(jets=100, path=tmp_path / "templates.npz")
    assert (load_templates(tmp_path / "templates.npz") == 0 + 1 + 2).all()


# --- the shipped files ------------------------------------------------------------------------------------------------


def test_files_are_plain_trees_in_readable_baskets(root):
    for name, n, branches in (("flavour", 30_000, [*FLAT, "ntrack", *TRACK]), ("flavour_hard", 9000, FLAT)):
        with uproot.open(root / "data" / f"{name}.root") as file:
            assert file.classnames() == {"jets;1": "TTree"}
            tree = file["jets"]
            assert tree.num_entries == n
            assert tree["pt"].num_baskets == -(-n // 5000)
            assert tree.keys() == branches
            types = tree.typenames()
    whole = {"event": "uint32_t", "flavour": "int32_t", "n_tracks": "int32_t"}
    assert types == {branch: whole.get(branch, "float") for branch in FLAT}


def test_jets_of_one_collision_are_neighbours(shipped, hard):
    for jets in (shipped, hard):
        assert (np.diff(jets["event"].astype(int)) >= 0).all()
        same = np.diff(jets["event"].astype(int)) == 0
        assert (jets["pt"][1:] <= jets["pt"][:-1])[same].all()
        assert 4.5 < len(jets["event"]) / len(np.unique(jets["event"])) < 8
        assert jets["pt"].min() >= 20
        assert np.abs(jets["eta"]).max() <= 2.501
        assert np.abs(jets["phi"]).max() <= np.float32(np.pi) * 1.001
        assert set(jets["flavour"].tolist()) == set(FLAVOURS.values())
    assert hard["pt"].mean() > 1.7 * shipped["pt"].mean()


def test_defaults_stand_for_all_of_an_algorithm_and_for_nothing_else(shipped, hard):
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(DEFAULTS)
    for jets in (shipped, hard):
        for names in GROUPS.values():
            missing = np.stack([jets[name] == DEFAULTS[name] for name in names])
            assert (missing == missing[0]).all(), names
            assert 0 < missing[0].mean() < 0.8
            for name in names:
                assert jets[name][~missing[0]].min() > DEFAULTS[name] + 0.9, name
        assert ((jets["n_tracks"] == 0) == (jets["ip2d_bl"] == -19)).all()
        assert {jets[name].min() for name in DEFAULTS} == {-1, -9, -19, -90}
        found = jets["sv_n_tracks"] > 0
        assert jets["sv_significance"][found].min() >= 3
        assert jets["sv_n_tracks"][found].min() == 2
        assert (jets["sv_n_two_track"] >= 1)[found].all()
        assert jets["sv_mass"].max() < 6
        assert (jets["sv_n_tracks"] <= jets["n_tracks"]).all()
        along = jets["jf_n_tracks"] > 0
        assert (jets["jf_n_vertices"] + jets["jf_n_single"] >= 1)[along].all()
        assert (jets["jf_n_tracks"] >= 2 * jets["jf_n_vertices"] + jets["jf_n_single"])[along].all()
        for name in ("sv_energy_fraction", "jf_energy_fraction"):
            assert jets[name].max() <= 1


def test_tracks_belong_to_their_jets(shipped):
    assert (ak.num(shipped["track_pt"]) == shipped["n_tracks"]).tolist() == [True] * 30_000
    assert ak.all(np.hypot(shipped["track_deta"], shipped["track_dphi"]) < 0.401)
    assert ak.all(shipped["track_pt"][:, 1:] <= shipped["track_pt"][:, :-1])
    assert set(ak.flatten(shipped["track_charge"]).tolist()) == {-1, 1}
    # The lifetime sign as a reader of the file computes it.
    sign = np.sign(-np.sin(shipped["track_dphi"]) * shipped["track_d0"])
    significance = ak.flatten(sign * np.abs(shipped["track_d0"]) / shipped["track_d0_error"])
    flavours = np.repeat(shipped["flavour"], shipped["n_tracks"])
    tail = {
        q: [(significance[flavours == q] > 5).tolist(), (significance[flavours == q] < -5).tolist()] for q in (0, 5)
    }
    front, behind = (np.mean(values) for values in tail[5])
    assert front > 5 * behind
    front, behind = (np.mean(values) for values in tail[0])
    assert front < 2 * behind


def test_the_stored_variables_follow_from_the_stored_tracks(shipped):
    # The tracks are rounded to a thousandth, so a few of them change their bins or cuts.
    n = 2000
    tracks, counts = tracks_of(shipped, n)
    again = tagging_variables(tracks, counts, *(shipped[name][:n].astype(float) for name in ("eta", "phi")))
    for name, values in again.items():
        near = np.isclose(values, shipped[name][:n], rtol=0.02, atol=0.02)
        assert near.mean() > 0.93, name


def test_flavours_and_rejections_stand_in_the_readme(root, shipped):
    text = (root / "data" / "README.md").read_text(encoding="utf-8")
    for name, row in flavour_table(shipped).iterrows():
        cells = f"{100 * row.share:.1f}% | {row.pt:.0f} | {row.tracks:.2f} | {100 * row.sv:.1f}% | {100 * row.jf:.1f}%"
        assert f"| {name} | {row.jets:.0f} | {cells} |" in text
    table = rejection_table(shipped)
    for tagger in ("IP2D", "IP3D"):
        assert f"| {tagger} | {table[tagger]['c']} | {table[tagger]['light']} |" in text
    # Trees of another version may grow a little differently.
    written = re.search(r"\| boosted trees \| ([\d.]+) ± [\d.]+ \| ([\d.]+) ± [\d.]+ \|", text)
    for kind, number in zip(("c", "light"), written.groups(), strict=True):
        value, error = table["trees"][kind]
        assert value == pytest.approx(float(number), abs=error)
        assert value > table["IP3D"][kind].value > table["IP2D"][kind].value


def test_a_closure_needs_all_flavours_and_branches(shipped):
    few = {name: shipped[name][:300] for name in FLAT}
    with pytest.raises(ValueError, match="at least 100 jets each of flavour 0, 4 and 5 and no others, got"):
        flavour_table(few)
    with pytest.raises(ValueError, match="flavours, got 30000"):
        flavour_table(few | {"flavour": shipped["flavour"]})
    for name in ("flavour", "n_tracks"):
        masked = np.ma.array(shipped[name], mask=np.arange(30_000) == 1)
        with pytest.raises(ValueError, match=f"{name} is missing in 1 of 30000 events, first in event 1"):
            flavour_table({branch: shipped[branch] for branch in FLAT} | {name: masked})
    few.pop("sv_mass")
    with pytest.raises(KeyError, match="sv_mass"):
        rejection_table(few)


# --- how they are made ------------------------------------------------------------------------------------------------


def small_chunk(*arguments, simulate=flavour.simulate_flavour_chunk):
    """Simulate a chunk of fewer events, in this process or in another."""
    flavour.CHUNK = 100
    try:
        return simulate(*arguments)
    finally:
        flavour.CHUNK = 800


@pytest.mark.simulation
def test_the_same_seed_gives_the_same_jets_whatever_the_jobs(tmp_path, shipped, monkeypatch):
    monkeypatch.setattr(flavour, "simulate_flavour_chunk", small_chunk)
    reports = []
    [one] = simulate_flavour(tmp_path / "one", 1600, 7, progress=lambda *report: reports.append(report))
    assert len(reports) == 3
    [two] = simulate_flavour(tmp_path / "two", 1500, 7, jobs=2)
    assert one.name == two.name == "flavour.root"
    assert [path.name for path in two.parent.iterdir()] == [two.name]
    assert reports[-1] == ("flavour", 1600, 1600)
    first, second = load_events(one, tree="jets"), load_events(two, tree="jets")
    assert list(first) == list(shipped)
    for name in first:
        assert ak.array_equal(first[name][:1500], second[name]), name
    # And other jets than the shipped ones, of the same kind.
    for name in ("pt", "n_tracks", "ip3d_bl", "sv_mass", "jf_significance", "jf_dr"):
        assert not np.array_equal(first[name], shipped[name][:1600])
        assert ks_2samp(first[name], shipped[name]).pvalue > 1e-4, name


@pytest.mark.simulation
def test_harder_tops_have_harder_jets_and_tracks_can_be_left_out(tmp_path, hard, monkeypatch):
    monkeypatch.setattr(flavour, "CHUNK", 200)
    [path] = simulate_flavour(tmp_path, 1000, 3, min_pthat=275, tracks=False)
    assert path.name == "flavour_hard.root"
    jets = load_events(path, tree="jets")
    assert list(jets) == FLAT
    assert ks_2samp(jets["pt"], hard["pt"]).pvalue > 1e-4


@pytest.fixture
def ready_chunks(monkeypatch, shipped):
    """Chunks cut from the shipped sample, as if just simulated."""
    columns = {name: shipped[name] for name in FLAT}
    columns["track"] = ak.zip({name.removeprefix("track_"): shipped[name] for name in TRACK})
    whole = ak.zip(columns, depth_limit=1)
    monkeypatch.setattr(
        flavour,
        "simulate_flavour_chunk",
        lambda seed, min_pthat, tracks, chunk: (whole[700 * chunk : 700 * (chunk + 1)], 100),
    )


@pytest.mark.parametrize("n", [1, 700, 5000, 12_345])
def test_any_number_of_jets_is_written_exactly(tmp_path, ready_chunks, shipped, n):
    [path] = simulate_flavour(tmp_path, n)
    jets = load_events(path, tree="jets")
    for name, values in jets.items():
        assert ak.array_equal(values, shipped[name][:n]), name
    with uproot.open(path) as file:
        assert file["jets"]["pt"].num_baskets == -(-n // 5000)


def test_an_error_or_ctrl_c_leaves_nothing_and_keeps_what_was_there(tmp_path, ready_chunks, monkeypatch):
    def interrupt(sample, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_flavour(tmp_path / "new", 2000, progress=interrupt)
    assert list((tmp_path / "new").iterdir()) == []
    [path] = simulate_flavour(tmp_path, 10)
    before = path.read_bytes()
    write_jets = flavour.write_jets

    def full_disk(*arguments):
        write_jets(*arguments)
        raise OSError("no space left on device")

    monkeypatch.setattr(flavour, "write_jets", full_disk)
    with pytest.raises(OSError, match="no space"):
        simulate_flavour(tmp_path, 20)
    assert path.read_bytes() == before


def test_bad_arguments_are_named(tmp_path):
    for arguments, message in (
        ({"jets": 0}, "jets must be 1 or more, got 0"),
        ({"min_pthat": -1}, "min_pthat must be from 0 to 2000 GeV, got -1"),
        ({"min_pthat": float("nan")}, "min_pthat must be from 0 to 2000 GeV, got nan"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"jobs": 0}, "jobs must be 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_flavour(tmp_path, **{"jets": 10} | arguments)
        assert list(tmp_path.iterdir()) == []


def test_the_axis_is_known_better_at_high_momentum():
    assert axis_resolution(np.array([20.0, 1e6])) == pytest.approx([np.hypot(0.05, 0.01), 0.01])
