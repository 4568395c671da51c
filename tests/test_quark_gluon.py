"""The public quark/gluon jets: the same structure, and clear errors."""

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
