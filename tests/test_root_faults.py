"""Why a tree cannot be read: damage, too little memory, or a type unknown to uproot, each called by its name."""

import errno
import re
import struct
import zlib

import awkward as ak
import numpy as np
import pytest
import uproot
from uproot.interpretation.objects import CannotBeAwkward

from coursekit.events import load_events
from coursekit.jets import load_jetclass
from coursekit.streaming import event_bytes, read_chunks
from tests.test_root_trees import assert_equal, plain, shuffled, write_four, write_ntuple

TOO_LARGE = [
    MemoryError("Unable to allocate output buffer."),
    zlib.error("Error -4 while decompressing data: Out of memory"),
    RuntimeError("can't start new thread"),
    ValueError("Allocation error : not enough memory"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [(error, MemoryError, r"the branch x: too little memory for 40 events\. .*read_chunks") for error in TOO_LARGE]
    + [
        (CannotBeAwkward("TRef"), ValueError, r"the branch x is of type int64_t, which uproot cannot read \(TRef\)"),
        (NotImplementedError("memberwise\nin file"), ValueError, r"cannot read \(memberwise\)\. Leave it out"),
        (zlib.error("bad"), OSError, r"a\.root is truncated or damaged: the branch x cannot be read \(bad\)"),
        (struct.error(), OSError, r"truncated or damaged: the branch x cannot be read \(error\)"),
        (OSError("expected 5 bytes"), OSError, "truncated or damaged"),
        (OSError(errno.EINVAL, "Invalid argument"), OSError, "truncated or damaged"),
        (PermissionError(errno.EACCES, "Permission denied"), PermissionError, "^.Errno 13. Permission denied$"),
        (OSError(errno.EIO, "Input/output error"), OSError, "^.Errno 5. Input/output error$"),
        (ImportError("pip install xyz"), ImportError, "^pip install xyz$"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_each_reason_is_told_from_damage(tmp_path, monkeypatch, error, kind, message):
    path = write_four(tmp_path / "a.root")
    array = uproot.TBranch.array

    def fail(branch, *args, **kwargs):
        if branch.name == "x":
            raise error
        return array(branch, *args, **kwargs)

    monkeypatch.setattr(uproot.TBranch, "array", fail)
    for read in (load_events, lambda path: next(read_chunks(path)), shuffled):
        with pytest.raises(kind, match=message) as caught:
            read(path)
        assert type(caught.value) is kind


@pytest.mark.parametrize("ntuple", [False, True])
def test_flipped_bytes_are_damage_wherever_they_are(tmp_path, ntuple):
    columns = {"x": np.zeros(200), "l": ak.unflatten(np.zeros(400), np.full(200, 2))}
    path = write_ntuple(tmp_path / "a.root", columns)
    if not ntuple:
        with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
            file.mktree("Events", {"x": "float64", "l": "var * float64"}).extend(columns)
    whole, expected, reasons = path.read_bytes(), plain(path), []
    # the header, and all over the file; in an RNTuple the numbers of values in its list of pages are near the end
    for place in [4, 6, 9, 13, *range(64, len(whole), len(whole) // 50), *range(len(whole) - 450, len(whole), 7)]:
        content = bytearray(whole)
        content[place] ^= 0x55
        path.write_bytes(content)
        try:
            assert_equal(load_events(path, allow_nonfinite=True), expected)
        except (OSError, KeyError) as error:
            reasons.append(str(error))
    assert len(reasons) > 5
    # the name or the kind of the tree may be what is damaged
    assert all(re.search(r"a\.root is truncated|has no tree Events", reason) for reason in reasons), reasons
    assert not any("\n" in reason for reason in reasons)


def test_the_tree_is_walked_once_however_many_branches_there_are(tmp_path, monkeypatch):
    walks = []
    iteritems = uproot.behaviors.TBranch.HasBranches.iteritems

    def counted(tree, **kwargs):
        if isinstance(tree, uproot.TTree):
            walks.append(1)
        yield from iteritems(tree, **kwargs)

    monkeypatch.setattr(uproot.behaviors.TBranch.HasBranches, "iteritems", counted)
    seen = []
    for n in (2, 50):
        path = write_four(tmp_path / f"{n}.root", **dict.fromkeys((f"HLT_{i}" for i in range(n)), "bool"))
        for read in (load_events, lambda path: list(read_chunks(path)), event_bytes):
            walks.clear()
            read(path)
            seen.append(len(walks))
    assert seen[:3] == seen[3:]
    assert max(seen) <= 2  # once for the names, once for the ends of the baskets


def test_jets_of_jetclass_are_refused_with_the_same_reasons(tmp_path):
    path = write_four(tmp_path / "a.root")
    with pytest.raises(KeyError, match="no tree tree; there is Events"):
        load_jetclass(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(OSError, match="truncated or damaged"):
        load_jetclass(path)
