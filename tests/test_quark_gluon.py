"""The public quark/gluon jets: the same structure, and clear errors."""

import io
import zipfile

import awkward as ak
import numpy as np
import pytest

from coursekit import jets as cj


def write_quark_gluon(path, save=np.savez_compressed, n=40):
    rng = np.random.default_rng(5)
    x = np.zeros((n, 9, 4))
    for row, count in zip(x, rng.integers(1, 10, n), strict=True):
        row[:count] = np.stack(
            [
                rng.exponential(10, count),
                rng.normal(0, 1, count),
                rng.uniform(0, 6.28, count),
                rng.choice([22, -211, 2212], count),
            ],
            axis=1,
        )
    y = rng.integers(0, 2, n).astype(float)
    save(path, X=x, y=y)
    return x, y


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_quark_gluon_jets_load_to_the_same_structure(save, tmp_path):
    x, y = write_quark_gluon(tmp_path / "qg.npz", save)
    jets, labels = cj.load_quark_gluon(tmp_path / "qg.npz", 5, 30)
    assert labels.tolist() == y[5:30].tolist()
    assert ak.num(jets).tolist() == (x[5:30, :, 0] > 0).sum(axis=1).tolist()
    real = x[5:30][x[5:30, :, 0] > 0]
    flat = ak.flatten(jets)
    assert flat.pdgid.tolist() == real[:, 3].tolist()
    assert flat.pt == pytest.approx(real[:, 0], rel=1e-6)
    assert flat.rapidity == pytest.approx(real[:, 1], abs=1e-5)
    assert np.cos(flat.phi - real[:, 2]) == pytest.approx(np.ones(len(real)), abs=1e-6)
    proton = flat[(flat.pdgid == 2212) & (flat.pt > 1)]
    mass2 = proton.E.to_numpy().astype(float) ** 2 - sum(
        proton[c].to_numpy().astype(float) ** 2 for c in ("px", "py", "pz")
    )
    assert np.median(mass2) == pytest.approx(0.938272**2, rel=0.01)


def test_bad_quark_gluon_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"qg.npz is missing"):
        cj.load_quark_gluon(tmp_path / "qg.npz")
    (tmp_path / "qg.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"not an .npz file"):
        cj.load_quark_gluon(tmp_path / "qg.npz")
    np.savez(tmp_path / "qg.npz", x=np.ones(3))
    with pytest.raises(KeyError, match=r"no array 'X'; it has .'x'."):
        cj.load_quark_gluon(tmp_path / "qg.npz")
    np.savez(tmp_path / "qg.npz", X=np.ones((3, 2)), y=np.ones(3))
    with pytest.raises(ValueError, match=r"X must be \(N, P, 4\).*\(3, 2\)"):
        cj.load_quark_gluon(tmp_path / "qg.npz")
    np.savez(tmp_path / "qg.npz", X=np.asfortranarray(np.ones((3, 2, 4))), y=np.ones(3))
    with pytest.raises(ValueError, match="Fortran order"):
        cj.load_quark_gluon(tmp_path / "qg.npz")
    write_quark_gluon(tmp_path / "qg.npz")
    with pytest.raises(IndexError, match="has 40 jets"):
        cj.load_quark_gluon(tmp_path / "qg.npz", 30, 50)
    content = (tmp_path / "qg.npz").read_bytes()
    (tmp_path / "qg.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"qg.npz is truncated"):
        cj.load_quark_gluon(tmp_path / "qg.npz")


def jets_of_two(**changes):
    """X of two jets of three constituents and one of padding, and y."""
    x = np.tile([20.0, 0.1, 1.0, 211], (2, 4, 1))
    x[:, 3] = 0
    for place, value in changes.get("x", {}).items():
        x[place] = value
    return x, np.asarray(changes.get("y", [0.0, 1.0]))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((1, 1, 0), np.nan, "NaN or infinite"),
        ((1, 1, 1), np.inf, "NaN or infinite"),
        ((1, 1, 2), np.nan, "NaN or infinite"),
        ((1, 1, 3), np.nan, "NaN or infinite"),
        ((1, 3, 2), np.nan, "NaN or infinite"),
        ((1, 1, 0), -5, "neither padding .* nor"),
        ((1, 1, 0), 0, "neither padding .* nor"),
        ((1, 3, 3), 22, "neither padding .* nor"),
        ((1, 1, 1), 200, "NaN or infinite"),  # more energy than a float32 holds
        ((1, 1, 3), 211.5, "PDG id is 211.5"),
        ((1, 1, 3), 1e12, "PDG id is 1000000000000"),
        (1, 0, "no constituents"),
    ],
)
def test_a_row_that_is_no_constituent_is_refused_by_its_jet(place, value, message, tmp_path):
    x, y = jets_of_two(x={place: value})
    np.savez(tmp_path / "qg.npz", X=x, y=y)
    with pytest.raises(ValueError, match=rf"qg.npz.*row 1.*{message}|qg.npz.*{message}.*row 1"):
        cj.load_quark_gluon(tmp_path / "qg.npz")
    assert ak.num(cj.load_quark_gluon(tmp_path / "qg.npz", 0, 1)[0]).tolist() == [3]


def test_padding_is_padding_wherever_it_stands(tmp_path):
    x, y = jets_of_two(x={(1, 1): 0})
    np.savez(tmp_path / "qg.npz", X=x, y=y)
    assert ak.num(cj.load_quark_gluon(tmp_path / "qg.npz")[0]).tolist() == [3, 2]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, np.nan], "event 1 has nan"),
        ([0, 2], "event 1 has 2"),
        ([0, -1.0], "event 1 has -1.0"),
        ([0, 0.5], "event 1 has 0.5"),
        (["0", "1"], "y holds <U1; expected numbers"),
        (np.eye(2), r"y \(N,\), got \(2, 4, 4\) and \(2, 2\)"),
        ([0, 1, 1], r"got \(2, 4, 4\) and \(3,\)"),
        (np.array([0, None]), "y holds object"),
    ],
)
def test_labels_that_are_none_are_refused(y, message, tmp_path):
    x, y = jets_of_two(y=y)
    np.savez(tmp_path / "qg.npz", X=x, y=y)
    with pytest.raises(ValueError, match=rf"qg.npz: .*{message}"):
        cj.load_quark_gluon(tmp_path / "qg.npz")


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", ">f8", "i4", ">i8", "g"])
def test_numbers_of_any_type_give_the_same_jets(dtype, tmp_path):
    x, y = jets_of_two(x={(..., 1): 0, (..., 2): 1})
    x[:, 3] = 0
    np.savez(tmp_path / "a.npz", X=x, y=y)
    np.savez(tmp_path / "b.npz", X=x.astype(dtype), y=y.astype(dtype), more=np.ones(5), names=["a"])
    (jets, labels), (others, other_labels) = (cj.load_quark_gluon(tmp_path / name) for name in ("a.npz", "b.npz"))
    assert ak.array_equal(jets, others)
    assert labels.tolist() == other_labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 3, 4), complex), ValueError, "X holds complex128"),
        (np.full((2, 3, 4), None), ValueError, "X holds object"),
        (np.zeros((2, 3), [("pt", "f4"), ("y", "f4")]), ValueError, "X holds .*pt"),
        (np.full((2, 3, 4), "a"), ValueError, "X holds <U1"),
        (np.ones((2, 3, 5)), ValueError, r"X must be \(N, P, 4\)"),
        (np.ones((2, 0, 4)), ValueError, "no constituents"),
        (np.ones((0, 3, 4)), ValueError, "got|no jets"),
    ],
)
def test_arrays_that_are_no_jets_are_refused(x, error, message, tmp_path):
    np.savez(tmp_path / "qg.npz", X=x, y=np.ones(2))
    with pytest.raises(error, match=f"qg.npz.*{message}") as info:
        cj.load_quark_gluon(tmp_path / "qg.npz")
    assert len(str(info.value).splitlines()) == 1


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, **changes):
    content = {name[:-4]: data for name, data in members(path).items()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(f"{name}.npy", data)


def broken_files(path):
    """Damage a sound file in one way after the other; yield what was done."""
    sound = path.read_bytes()
    rows = np.random.default_rng(1)
    for cut in (4, 100, len(sound) // 2, len(sound) - 30, len(sound) - 1):
        path.write_bytes(sound[:cut])
        yield f"cut at {cut}"
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    for name, info in infos.items():
        begin = info.header_offset + 30 + len(name)
        for at in {begin + 40, *rows.integers(begin + 40, begin + info.compress_size, 12)}:
            content = bytearray(sound)
            content[at] ^= 0xFF
            path.write_bytes(content)
            yield f"flip in {name} at {at}"
    for name in ("X", "y"):
        path.write_bytes(sound)
        array = members(path)[f"{name}.npy"]
        for what, changed in (("no header", b"nothing"), ("empty", b""), ("short", array[:-8]), ("long", array + b"0")):
            rewrite(path, **{name: changed})
            yield f"{what} {name}"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_file_is_an_oserror_that_names_it(save, tmp_path):
    path = tmp_path / "qg.npz"
    x, _ = write_quark_gluon(path, save)
    for done in broken_files(path):
        for start, stop in ((0, None), (3, 7), (39, 40)):
            with pytest.raises(OSError, match=r"qg\.npz") as info:
                cj.load_quark_gluon(path, start, stop)
            assert len(str(info.value).splitlines()) == 1, done
    assert len(x) == 40


def test_too_little_memory_is_not_called_damage(tmp_path, monkeypatch):
    write_quark_gluon(tmp_path / "qg.npz")

    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    with pytest.raises(MemoryError, match=r"qg\.npz.*read fewer rows at once"):
        cj.load_quark_gluon(tmp_path / "qg.npz")
