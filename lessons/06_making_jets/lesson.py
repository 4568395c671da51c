# %% [markdown]
# # 6 · Making jets: from a proton collision to a labelled jet
#
# <!-- badges -->
#
# **After this lesson you will be able to**
#
# 1. read the record of a simulated collision as arrays, and follow a top quark in it to the three quarks of its decay;
# 2. build a detector and a jet algorithm from their parts: smear tracks, fill towers, merge neighbours, and subtract angles that wrap;
# 3. make a labelled sample of jets in the layout of the public reference data set, and say how far it can be trusted.
#
# **You need** lesson 1: arrays, awkward arrays, tables in HDF5.
#
# **Time:** 100 minutes, with a place for a break in the middle; the notebook itself runs in about 25 seconds on two CPU cores.

# %% tags=["setup"]
from coursekit import check, fetch, figure, hint, or_reference, progress, setup, show

WORK = setup("06")

# %% tags=["parameters"]
quick: bool = True
seed: int = 1

# %%
N_EVENTS = 600 if quick else 2000  # collisions for the studies of the radius; full: 2000
N_JETS = 300 if quick else 2000  # jets simulated at the end; full: 2000, 40 s of computing
JOBS = 1 if quick else 2

# %% [markdown]
# ## The question
#
# A top quark of 600 GeV decays to three quarks so close to each other that a detector sees one spray of particles: a *jet*.
# Light quarks and gluons make jets too, several hundred times more often.
# Which one was it?
# Lessons 7 to 11 train networks on this question.
# They need jets whose origin is known, and such jets can only be simulated.
# A simulation follows a collision step by step:
#
# 1. **Hard process.**
#    A quark or gluon of one proton meets one of the other, and a top and an antitop come out.
#    The probability of that can be calculated.
# 2. **Parton shower.**
#    Quarks and gluons (together: *partons*) radiate gluons, which radiate in turn, before and after the hard process.
# 3. **Hadronisation.**
#    Partons cannot be free.
#    They turn into hadrons, particles such as pions and protons.
# 4. **Decays.**
#    Most hadrons live too briefly to be seen and decay to photons, pions, kaons, leptons and neutrinos.
# 5. **Detector.**
#    What flies far enough is measured, with errors.
# 6. **Jets.**
#    An algorithm collects what belongs together.
#
# Steps 1 to 4 are the work of Pythia 8.
# Steps 5 and 6 are ours today.
#
# ## Ten collisions
#
# Pythia takes its orders as lines of text.
# The protons carry 7000 GeV each; we want tops with a transverse momentum $p_T$ between 500 and 700 GeV, and W bosons that decay to quarks.

# %%
import awkward as ak
import numpy as np
import pandas as pd

from coursekit.jets import unpack
from coursekit.plots import COLOURS, plot_circles, plot_clustering, plot_particles
from coursekit.simulate.pythia import generate, make_pythia

SETTINGS = [
    "Beams:eCM = 14000.",
    "PhaseSpace:pTHatMin = 500",
    "PhaseSpace:pTHatMax = 700",
    "Top:gg2ttbar = on",  # two gluons to top and antitop
    "Top:qqbar2ttbar = on",  # quark and antiquark to top and antitop
    "24:onMode = off",  # of the decays of the W boson, particle number 24, ...
    "24:onIfAny = 1 2 3 4 5",  # ... only those to quarks
    "PartonLevel:MPI = off",  # no further collisions of the same two protons, as in the reference data set
]
pythia = make_pythia(SETTINGS, seed)
particles = generate(pythia, 10)

# Ten events from one seed come out alike wherever rounding differs in the last digit only, so their counts can be printed.
show("events", len(particles))
show("rows of the record", len(particles.pdgid))

# %% [markdown]
# That is nearly 1000 rows for each event.
# `particles` holds the records of all ten as flat arrays, one entry a row: `particles.pdgid`, `particles.status`, `particles.px`, ..., with `particles.event` for the number of the event.
# Here is the beginning of the first one.


# %%
def name_of(row):
    return pythia.particleData.name(int(particles.pdgid[row]))


def look(rows):
    """Return some rows of the record as a table, pT in GeV."""
    columns = {name: getattr(particles, name)[rows] for name in ["pdgid", "status", "daughter1", "daughter2"]}
    columns |= {"name": [name_of(row) for row in rows], "pT": particles.pt[rows].round().astype(int)}
    return pd.DataFrame(columns, index=pd.Index(rows, name="row"))


look(range(3, 11))

# %% [markdown]
# - `pdgid` is the particle's number in the scheme that all programs share: 6 top, 5 bottom, 24 W, 21 gluon, 22 photon, 211 $\pi^+$; 12, 14 and 16 the neutrinos.
#   Antiparticles have a minus sign.
# - `status` is positive for a particle of the *final state*, which nothing happens to any more, and negative for one on the way.
#   Its tens digit names the step.
# - `daughter1` and `daughter2` tell in which rows stands what became of it.
#   If the first is the smaller one, that is all rows from `daughter1` to `daughter2`; if it is the larger one, these two rows alone; if the two are equal, one row.
#   Where there is no second daughter, or none at all, they point to the first row of the event, which stands for the event as a whole.
#   Rows 3 and 4 are the two gluons that collide, 5 and 6 the tops.
#
# The step each row belongs to, summed over the ten events:

# %%
STEPS = {1: "the protons", 2: "hard process", 4: "radiation before it", 5: "radiation after it", 6: "proton remnants and recoil",
         7: "on the way to hadrons", 8: "hadrons", 9: "decays"}  # fmt: skip
tens = np.abs(particles.status) // 10
pd.DataFrame({"rows": [np.sum(tens == k) for k in STEPS]}, index=pd.Index(STEPS.values(), name="step"))

# %% [markdown]
# The 12 rows of each hard process grow to nearly a thousand.
# A calculation that stopped at the tops would miss nearly everything that a detector sees.
#
# ## Which of the tops?
#
# Row 5 is a top, and its daughter in row 9 is a top again, with another momentum.
# Whenever a particle radiates or takes a recoil, the record keeps the old row and adds a *copy* with the new momentum.
# All copies of this one top:

# %%
look(np.flatnonzero((particles.event == 0) & (particles.pdgid == 6)))

# %% [markdown]
# It starts with 568 GeV, and 525 are left when it decays.
# The quarks of the decay come from the *last copy*; the first one belongs to a moment before all radiation.
#
# ### Your turn 6.1 · 8 min · ★★
#
# Write `last_copy(particles, row)`: the row of the last copy of the particle in row `row`.
# A copy is a daughter with the same `pdgid`; if there is none, the row itself is the answer.
# It must work for any particle, and the copy can stand in `daughter1` or in `daughter2`; no other row needs to be asked.
# (A gluon that splits has two daughters that are gluons: there you may follow either.)


# %% tags=["exercise", "ex-6.1"]
def last_copy(particles, row): ...


# %% tags=["check", "ex-6.1"]
check("6.1", last_copy)
last_copy = or_reference("6.1", last_copy)

# %%
first = np.flatnonzero((np.abs(particles.pdgid) == 6) & (particles.status == -22))  # as the hard process makes them
tops = np.array([last_copy(particles, row) for row in first])
change = np.abs(particles.pt[tops] - particles.pt[first])
show("tops and antitops", len(tops))
show("whose pT changed by more than 20 GeV", int(np.sum(change > 20)))
show("largest change", change.max(), 0, unit="GeV")

# %% [markdown]
# With the first copies, {{twelve = 12 within 0 = whose pT changed by more than 20 GeV}} of {{twenty = 20 within 0 = tops and antitops}} would be off by more than 20 GeV, and one by {{116 = largest change}}.
#
# ### Your turn 6.2 · 8 min · ★★
#
# The top decays to a W boson and a bottom quark (once in 600 a lighter one), and the W to two light quarks.
# Write `quarks_of(particles, top)`: from the row of a top's last copy to the list of three rows, the bottom quark first, then the two quarks from the W in either order.
# Take each quark as the decay makes it, before it radiates; but the W boson has copies too, and decays from the last of them.


# %% tags=["exercise", "ex-6.2"]
def quarks_of(particles, top): ...


# %% tags=["check", "ex-6.2"]
check("6.2", quarks_of)
quarks_of = or_reference("6.2", quarks_of)

# %%
quarks = np.array([quarks_of(particles, top) for top in tops])  # (20, 3)
for top, rows in zip(tops[:2], quarks[:2], strict=True):
    show(f"{name_of(top)} decays to", tuple(name_of(row) for row in rows))

# %% [markdown]
# Twenty tops forgive a loop; a million do not.
# `coursekit.simulate.toptag.top_decays` finds the same rows for a whole batch of events with array expressions.

# %%
from coursekit.simulate.toptag import top_decays

_, their_quarks = top_decays(particles)
theirs = np.sort(their_quarks.reshape(-1, 3), axis=1).tolist()
show("tops with the same quarks", sum(sorted(rows) in theirs for rows in quarks.tolist()))

# %% [markdown]
# ## A collision, unrolled
#
# A direction has two coordinates: the *azimuth* $\phi$, the angle round the beam, and the pseudorapidity $\eta = -\ln\tan(\theta/2)$ with $\theta$ the angle to the beam; $\eta = 0$ is perpendicular to it.
# Unrolled, the $(\eta, \phi)$ plane is the detector's wall.
# We look at the first event, every particle of the final state, the area of a marker in proportion to its $p_T$.
# **Guess before you look:** in $\phi$ the two tops fly apart back to back, half a turn from each other; in $\eta$ they need not, since the two partons that made them rarely have the same energy.
# How many sprays of particles will there be?

# %%
EVENT = 0
here = np.arange(particles.offsets[EVENT], particles.offsets[EVENT + 1])
final = here[particles.status[here] > 0]
charged = particles.charge[final] != 0
neutrino = np.isin(np.abs(particles.pdgid[final]), (12, 14, 16))
KINDS = {
    "charged": (charged, {"marker": "o", "color": COLOURS[0], "alpha": 0.6, "linewidths": 0}),
    "neutral": (~charged & ~neutrino, {"marker": "s", "facecolors": "none", "edgecolors": COLOURS[1]}),
    "neutrino": (neutrino, {"marker": "^", "facecolors": "none", "edgecolors": COLOURS[6]}),
}


# %%
def draw_quarks(ax):
    for rows, marker, name in zip(quarks[particles.event[tops] == EVENT], "PX", ["top", "antitop"], strict=True):
        ax.plot(particles.eta[rows], particles.phi[rows], marker, color="black", markerfacecolor="white", markersize=9,
                label=f"quarks of the {name}")  # fmt: skip


with figure("collision", size=(8, 6)) as ax:
    for name, (mask, style) in KINDS.items():
        rows = final[mask]
        where = particles.eta[rows], particles.phi[rows]
        plot_particles(ax, *where, particles.pt[rows], f"{name} ({mask.sum()})", **style)
    draw_quarks(ax)
    ax.legend(fontsize=9, loc="upper left", title=f"event {EVENT}, final state", title_fontsize=9)

# %% [markdown]
# The top on the right is one spray with three cores, one for each quark.
# Did you count one spray at the lower edge and one at the upper?
# Keep your answer; we shall come back to it.
#
# ## What a detector sees
#
# ![A slice through a detector, from the collision on the left outwards: the tracker in its magnetic field, the calorimeter for electrons and photons, the calorimeter for hadrons. Six particles cross it. An electron and a pion are bent and leave hits in the tracker; they and the photon and the neutron, which leave no track, end in a shower in one of the calorimeters. A muon leaves a track and passes through, a neutrino leaves nothing.](detector.svg)
#
# ### Your turn 6.3 · 3 min · ★
#
# Write `visible(pdgid, status)`: from two arrays to an array of `True` for each particle that a detector can see, and `False` for the rest.
# A detector sees particles of the final state, except neutrinos.


# %% tags=["exercise", "ex-6.3"]
def visible(pdgid, status): ...


# %% tags=["check", "ex-6.3"]
check("6.3", visible)
visible = or_reference("6.3", visible)

# %%
seen = visible(particles.pdgid, particles.status)
show("particles in the final state", int(np.sum(particles.status > 0)))
show("of them visible", int(seen.sum()))
show("of them photons", int(np.sum(seen & (particles.pdgid == 22))))
show("of them charged", int(np.sum(seen & (particles.charge != 0))))

# %% [markdown]
# Nearly half are photons, most of them from $\pi^0 \to \gamma\gamma$, and nearly half charged, most of them pions.
# The two are measured in different ways.
#
# ## Tracks
#
# A charged particle leaves a *track*, bent by a magnetic field: the straighter, the larger its $p_T$.
# The relative uncertainty of $p_T$ has two parts, independent of each other: scattering in the material, here the same 6% for all, and the precision with which a slight bend can be told from a straight line, which gets worse with $p_T$.
# Independent errors add in quadrature, written $\oplus$:
#
# $$ \frac{\sigma(p_T)}{p_T} = 0.06 \oplus 0.0015\, \frac{p_T}{\mathrm{GeV}}, \qquad a \oplus b = \sqrt{a^2 + b^2} $$
#
# A *calorimeter* stops a particle and measures its energy $E$ by counting the particles of the shower that it makes:
# $\sigma(E)/E = a\,/\sqrt{E/\mathrm{GeV}} \oplus b$, with $a = 0.10$, $b = 0.002$ for electrons and photons and $a = 0.55$, $b = 0.03$ for hadrons.
# **Guess:** a charged pion makes both a track and a shower.
# Which of the two measures it better?

# %%
energy = np.geomspace(1, 500, 200)
TERMS = {
    "track": np.hypot(0.06, 0.0015 * energy),
    "calorimeter, electrons and photons": np.hypot(0.101 / np.sqrt(energy), 0.0017),
    "calorimeter, hadrons": np.hypot(0.55 / np.sqrt(energy), 0.03),
}
with figure("resolutions") as ax:
    for name, sigma in TERMS.items():
        ax.loglog(energy, 100 * sigma, label=name)
    ax.set_xticks([1, 10, 100], ["1", "10", "100"])
    ax.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    ax.set_xlabel("pT = E, at η = 0 [GeV]")
    ax.set_ylabel("relative uncertainty [%]")
    ax.legend(fontsize=9)

# %% [markdown]
# Below 43 GeV the track is better, and most charged particles of a jet are below.
# Above that the calorimeter wins.
# A good detector uses both.
#
# Where they cross is a property of this detector and no law of nature.
# The 6% are those of Delphes, a widely used fast simulation, for the middle of its detectors.
# ATLAS was designed for tracks with $0.01 \oplus 0.0005\, p_T/\mathrm{GeV}$ and hadrons with $a = 0.50$, $b = 0.03$ ([JINST 3 S08003](https://doi.org/10.1088/1748-0221/3/08/S08003)), which cross at about 110 GeV.
#
# ### Your turn 6.4 · 8 min · ★★
#
# Write `smear(pt, rng)`: for an array of true transverse momenta, the measured ones.
# Each is drawn from a Gaussian round the true value, with the standard deviation of the formula; `rng` is a NumPy generator.
# Leave a value as it is if it comes out negative; we look at that next.


# %% tags=["exercise", "ex-6.4"]
def smear(pt, rng): ...


# %% tags=["check", "ex-6.4"]
check("6.4", smear)
smear = or_reference("6.4", smear)

# %%
hard = smear(np.full(100_000, 500.0), np.random.default_rng(seed))
show("tracks of 500 GeV with a negative measured pT [%]", 100 * np.mean(hard < 0), 0)

# %% [markdown]
# A negative transverse momentum has no meaning, and yet {{tracks of 500 GeV with a negative measured pT [%]}} of these tracks have one.
# A Gaussian in $p_T$ is a good description only where it is narrow.
# What a tracker measures is the bend, which is proportional to $1/p_T$, and it is the error of the bend that is Gaussian: a hard track can be bent the wrong way, so that the particle seems to have the opposite charge, but its $p_T$ stays positive.
# The detector of this course, `coursekit.simulate.detector`, draws from a log-normal distribution instead, which has the same mean and the same spread, and no negative values.
#
# Besides, 15% of the charged particles leave no track that is found: they scatter, or share their hits with a neighbour.
# Those are left to the calorimeter.
#
# ## Towers
#
# A calorimeter is divided into *towers*, here of $0.1$ in $\eta$ by $12°$ in $\phi$.
# It does not know how many particles hit a tower; it sees the sum of their energies.

# %%
ETA_EDGES = np.linspace(-4.9, 4.9, 99)
PHI_EDGES = np.linspace(-np.pi, np.pi, 31)

# %% [markdown]
# ### Your turn 6.5 · 5 min · ★
#
# Write `tower_energies(eta, phi, energy)`: from three arrays, one entry for each particle, to the array of shape (98, 30) with the energy in each tower.
# Particles beyond the last tower at either end are not seen: leave them out.


# %% tags=["exercise", "ex-6.5"]
def tower_energies(eta, phi, energy): ...


# %% tags=["check", "ex-6.5"]
check("6.5", tower_energies)
tower_energies = or_reference("6.5", tower_energies)

# %%
stopped = here[seen[here] & (np.abs(particles.pdgid[here]) != 13)]  # muons pass through
towers = tower_energies(particles.eta[stopped], particles.phi[stopped], particles.energy[stopped])
inside = np.abs(particles.eta[stopped]) < 4.9
show("particles that stop in it", int(inside.sum()))
show("towers with energy", int(np.sum(towers > 0)))

# %% [markdown]
# The {{particles that stop in it}} particles share {{towers with energy}} towers.
#
# ## Energy flow
#
# The last step joins the two detectors.
# The energy of a tower contains that of the charged particles, which the tracks have measured already.
# So in each tower we subtract the energy of the tracks that point to it.
# If more than noise is left, 1.5 standard deviations of tower and tracks together, the rest counts as one neutral particle with a random direction in the tower.
# Tracks and such neutral particles together are the *energy-flow objects*, and they are what the jets of the reference data set are made of.
#
# You have written its two central pieces, tracks that are smeared and towers that are filled.
# `coursekit.simulate.detector` does both a little better and adds the rest: the log-normal errors, the share of tracks found, two layers of towers (for electrons and photons, and for hadrons), their smearing, and decays too far out to be seen.
# It has 200 lines, and takes all events at once.

# %%
from coursekit.simulate.detector import energy_flow

rng = np.random.default_rng(seed)
momenta, counts = energy_flow(particles, rng)  # (T, 4): px, py, pz, E, and the number of each event's objects
show("visible particles", int(seen.sum()))
show("energy-flow objects", len(momenta))

# %%
ours = momenta[counts[:EVENT].sum() : counts[: EVENT + 1].sum()]
px, py, pz, energy = ours.T
pt, eta, phi = np.hypot(px, py), np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)

with figure("detector", columns=2, size=(11, 5), sharey=True) as axes:
    rows = final[~neutrino]
    plot_particles(axes[0], particles.eta[rows], particles.phi[rows], particles.pt[rows], f"particles ({len(rows)})",
                   marker="o", facecolors="none", edgecolors=COLOURS[0])  # fmt: skip
    plot_particles(
        axes[1], eta, phi, pt, f"objects ({len(ours)})", marker="s", facecolors="none", edgecolors=COLOURS[1]
    )
    for ax, title in zip(axes, ["before the detector", "after the detector"], strict=True):
        ax.set_title(title, fontsize=11)
        ax.legend(fontsize=9, loc="upper left")
    axes[1].set_ylabel("")

# %% [markdown]
# A quarter of the particles is gone: they share a tower with others, or are too soft.
# The sprays are where they were.
# This is why we measure jets and not particles.
#
# ## A good place for a break
#
# We have followed a collision from two gluons to what a detector writes down, and the tops to their three quarks.
# What comes now: which of these objects belong together, a mistake that no error message reports, and the sample itself.
#
# ## Jets
#
# Where does a spray end?
# A *jet algorithm* decides, always by the same rule.
# The *generalised $k_T$* algorithms define a distance between any two objects, and one of each object to the beam:
#
# $$ d_{ij} = \min\!\left(p_{T,i}^{2p},\, p_{T,j}^{2p}\right) \frac{(y_i - y_j)^2 + (\phi_i - \phi_j)^2}{R^2}, \qquad d_{iB} = p_{T,i}^{2p} $$
#
# with $y$ the rapidity, $y = \mathrm{artanh}(p_z/E)$, which is $\eta$ for massless objects.
# If the smallest of all is a $d_{ij}$, the two merge into one object with the sum of their momenta.
# If it is a $d_{iB}$, object $i$ is a jet and leaves.
# Then the distances are computed anew, until nothing is left.
# The *radius* $R$ says how far a jet reaches.
# The power $p$ decides who merges first: $p = 1$ is $k_T$, $p = 0$ Cambridge/Aachen (C/A), and $p = -1$ anti-$k_T$, the choice of the LHC.
#
# ### Your turn 6.6 · 10 min · ★★★
#
# Write `distances(pt, y, phi, radius, power, difference)`: an array of shape (P, P) for P objects, with $d_{ij}$ off the diagonal and $d_{iB}$ on it.
# `difference(a, b)` is the function that subtracts two azimuths; use it for $\phi_i - \phi_j$.
# No loop.


# %% tags=["exercise", "ex-6.6"]
def distances(pt, y, phi, radius, power, difference): ...


# %% tags=["check", "ex-6.6"]
check("6.6", distances)
distances = or_reference("6.6", distances)

# %% [markdown]
# The algorithm round it is a loop.
# It keeps every object that ever was, the mergers in their order, and the jets.


# %%
def cluster_by_hand(momenta, radius, power, difference):
    """Return all objects (rows of px, py, pz, E), the particles in each, the mergers, and which objects are jets."""
    objects, inside = list(momenta), [[k] for k in range(len(momenta))]
    alive, mergers, jets = list(range(len(momenta))), [], []
    while alive:
        px, py, pz, energy = np.array([objects[k] for k in alive]).T
        d = distances(np.hypot(px, py), np.arctanh(pz / energy), np.arctan2(py, px), radius, power, difference)
        i, j = np.unravel_index(np.argmin(d), d.shape)
        first, second = alive[i], alive[j]
        alive = [k for k in alive if k not in (first, second)]
        if first == second:
            jets.append(first)
        else:
            alive.append(len(objects))
            objects.append(objects[first] + objects[second])
            inside.append(inside[first] + inside[second])
            mergers.append((first, second))
    jets.sort(key=lambda k: -np.hypot(*objects[k][:2]))  # by falling pT
    return np.array(objects), inside, mergers, jets


# %% [markdown]
# We try it on our event, with anti-$k_T$, $R = 0.8$, and for $\phi_i - \phi_j$ the plain difference, `np.subtract`.
# Beside it stands FastJet, the program that everybody uses.

# %%
from coursekit.simulate.clustering import cluster

objects, inside, mergers, jets = cluster_by_hand(ours, radius=0.8, power=-1, difference=np.subtract)
fastjet_jets, _ = cluster(unpack(ours, [len(ours)]), radius=0.8, min_pt=20)

for rank in range(3):
    show(f"jet {rank + 1}: pT by hand", np.hypot(*objects[jets[rank], :2]), 1, unit="GeV")
    show(f"jet {rank + 1}: pT by FastJet", float(fastjet_jets.pt[0, rank]), 1, unit="GeV")

# %% [markdown]
# ### A failure worth seeing
#
# The jet of {{jet 2: pT by FastJet}} is found by both.
# But where FastJet has one jet of {{jet 1: pT by FastJet}}, we have two, of {{338 = jet 2: pT by hand}} and {{270 = jet 3: pT by hand}} GeV.
# There was no error, and no warning.
# **Guess** from the event display what has happened, then look at which objects the jets contain.


# %%
def draw_jets(ax, objects, inside, jets, number):
    others = np.ones(len(pt), dtype=bool)
    for k, colour, marker in zip(jets[:number], COLOURS, "osD^v", strict=False):
        px, py, pz, _ = objects[k]
        rows = inside[k]
        others[rows] = False
        plot_particles(ax, eta[rows], phi[rows], pt[rows], f"jet of {np.hypot(px, py):.0f} GeV", marker=marker,
                       facecolors="none", edgecolors=colour)  # fmt: skip
        plot_circles(ax, [np.arcsinh(pz / np.hypot(px, py))], [np.arctan2(py, px)], 0.8, linestyle="--", color=colour)
    plot_particles(ax, eta[others], phi[others], pt[others], "other objects", marker=".", color="0.5", linewidths=0)
    ax.legend(fontsize=9, loc="upper left", title=f"event {EVENT}", title_fontsize=9)


with figure("jets-of-the-event", size=(8, 6)) as ax:
    draw_jets(ax, objects, inside, jets, 3)

# %% [markdown]
# The spray at the upper edge and the one at the lower edge are one and the same.
# $\phi = 3.1$ and $\phi = -3.1$ are neighbours: $0.08$ lies between them, and the plain difference says $6.2$.
# The plane is a cylinder, and we have cut a jet where it is glued.
#
# It is a nasty mistake: it strikes only jets near $\phi = \pi$, one in four with this radius, and makes most of them a little worse instead of absurd.
# Averages hardly show it.
#
# ### Your turn 6.7 · 5 min · ★★
#
# Write `delta_phi(a, b)`: the difference $a - b$ of two azimuths, moved into $[-\pi, \pi)$ by whole turns (at the edge, $\pi$ is as good as $-\pi$).
# It keeps the sign, and works for arrays of any shape.


# %% tags=["exercise", "ex-6.7"]
def delta_phi(a, b): ...


# %% tags=["check", "ex-6.7"]
check("6.7", delta_phi)
delta_phi = or_reference("6.7", delta_phi)

# %%
objects, inside, mergers, jets = cluster_by_hand(ours, radius=0.8, power=-1, difference=delta_phi)
by_hand = np.hypot(*objects[jets[: len(fastjet_jets.pt[0])], :2].T)
show("leading jet", by_hand[0], 1, unit="GeV")
show("jets above 20 GeV", len(by_hand))
show("of them as FastJet has them", int(np.isclose(by_hand, ak.to_numpy(fastjet_jets.pt[0]), rtol=1e-6).sum()))

# %% [markdown]
# One argument repairs it.
# And there is a test that would have found the mistake without FastJet: nature has no preferred $\phi$.
# Turn the whole event round the beam, and nothing may change.


# %%
def turned(momenta, angle):
    px, py, pz, energy = momenta.T
    return np.stack(
        [px * np.cos(angle) - py * np.sin(angle), px * np.sin(angle) + py * np.cos(angle), pz, energy], axis=1
    )


angles = np.linspace(0, 2 * np.pi, 25)
leading = {}
for name, difference in [("plain difference", np.subtract), ("delta_phi", delta_phi)]:
    runs = [cluster_by_hand(turned(ours, angle), 0.8, -1, difference) for angle in angles]
    leading[name] = [np.hypot(*objects[jets[0], :2]) for objects, _, _, jets in runs]

with figure("turned-event") as ax:
    for (name, values), marker in zip(leading.items(), "so", strict=True):
        ax.plot(angles, values, marker=marker, markersize=5, markerfacecolor="none", label=name)
    ax.set_xlabel("angle by which the event is turned [rad]")
    ax.set_ylabel("pT of the leading jet [GeV]")
    ax.legend(fontsize=9, loc="lower center", title="one event", title_fontsize=9)

show("largest change with delta_phi", float(np.ptp(leading["delta_phi"])), 3, unit="GeV")

# %% [markdown]
# A symmetry is the cheapest test that physics has to offer.
# The functions of this course are tested like this.
#
# ## Three algorithms, one jet
#
# What does the power $p$ change?
# We take the objects of the second jet, the one at $\phi = 0$ with its three cores, and put them together again with all three algorithms.
# Each object starts at the bottom at its azimuth, wide lines are hard objects, and each merger is one step up.
# **Guess before you look:** in which of the three does the hardest particle collect all others, one by one, and in which do soft particles first find each other?

# %%
ALGORITHMS = {"antikt": (-1, "anti-kT"), "cambridge": (0, "Cambridge/Aachen"), "kt": (1, "kT")}
particles_of_jet = ours[inside[jets[1]]]
axis = np.arctan2(objects[jets[1], 1], objects[jets[1], 0])

with figure("histories", columns=3, size=(11, 4.5), sharey=True) as axes:
    for ax, (power, name) in zip(axes, ALGORITHMS.values(), strict=True):
        steps, _, history, _ = cluster_by_hand(particles_of_jet, radius=10, power=power, difference=delta_phi)
        where = delta_phi(np.arctan2(steps[:, 1], steps[:, 0]), axis)
        plot_clustering(ax, where, np.hypot(steps[:, 0], steps[:, 1]), history)
        ax.set_title(f"{name}, {len(particles_of_jet)} objects", fontsize=11)
        ax.set_xlabel("φ − φ of the jet [rad]")
    for ax in axes[1:]:
        ax.set_ylabel("")

# %% [markdown]
# Anti-$k_T$ starts from a hard core, and everything within $R$ falls onto it.
# $k_T$ and C/A go the other way, soft or near ones first, much as if the shower ran backwards; the last two mergers of $k_T$ join the three prongs that the quarks of this top have made.
# Lesson 8 measures that.
#
# The shape differs too.
# We fill the plane with thousands of *ghosts*, particles so soft that they change nothing, and mark to which jet each one falls.

# %%
grid_eta, grid_phi = np.meshgrid(np.linspace(-4, 4, 121), np.linspace(-np.pi, np.pi, 97), indexing="ij")
jitter = rng.uniform(-0.02, 0.02, (2, grid_eta.size))  # a regular grid would show in the edges
ghost_eta, ghost_phi = grid_eta.ravel() + jitter[0], grid_phi.ravel() + jitter[1]
directions = [np.cos(ghost_phi), np.sin(ghost_phi), np.sinh(ghost_eta), np.cosh(ghost_eta)]
ghosts = 1e-30 * np.stack(directions, axis=1)
both = np.concatenate([ours, ghosts])

with figure("areas", columns=3, size=(11, 3.6), sharey=True) as axes:
    for ax, (algorithm, (_, name)) in zip(axes, ALGORITHMS.items(), strict=True):
        found, members = cluster(unpack(both, [len(both)]), radius=0.8, min_pt=15, algorithm=algorithm)
        for rank, rows in enumerate(members[0]):
            area = np.zeros(len(both))
            area[ak.to_numpy(rows)] = 1
            area = area[len(ours) :].reshape(grid_eta.shape)
            ax.contourf(grid_eta, grid_phi, area, levels=[0.5, 2], colors=[COLOURS[rank % 6]], alpha=0.35)
            ax.contour(grid_eta, grid_phi, area, levels=[0.5], colors="black", linewidths=1)
        plot_particles(ax, eta, phi, pt, "objects", marker="o", facecolors="none", edgecolors="black", linewidths=0.8)
        ax.set_title(f"{name}, {len(found[0])} jets", fontsize=11)
    for ax in axes[1:]:
        ax.set_ylabel("")

# %% [markdown]
# Anti-$k_T$ jets are circles, whatever the soft particles do.
# Their area, and with it the noise that they collect, is known beforehand, which is why the LHC experiments use them.
#
# ## How wide is a top?
#
# The quarks of a top lie at distances of about $2 m_t / p_T$ from each other, $m_t = 173$ GeV its mass: 0.6 at 600 GeV, often more for one of them.
# We need more tops to see what this means for $R$.
# `cluster` takes all events in one call.

# %%
many = generate(pythia, N_EVENTS)
momenta, counts = energy_flow(many, rng)
many_objects = unpack(momenta, counts)
show("events", len(many))

top_rows, quark_rows = top_decays(many)
rows = np.concatenate(
    [top_rows[..., np.newaxis], quark_rows], axis=-1
)  # (N, 2, 4): top and its quarks, antitop and its quarks
show("partons", rows.shape)

# %% [markdown]
# ### Your turn 6.8 · 8 min · ★★
#
# A jet gets the label *top* if a top and its three quarks lie within the radius of the jet's axis.
# Write `contained(jet_eta, jet_phi, eta, phi, radius)`:
# `jet_eta` and `jet_phi` have shape (N,), one jet each event; `eta` and `phi` have shape (N, 4), the top and its quarks.
# Return an array of N times `True` or `False`: all four within $\Delta R = \sqrt{\Delta\eta^2 + \Delta\phi^2} < R$?


# %% tags=["exercise", "ex-6.8"]
def contained(jet_eta, jet_phi, eta, phi, radius): ...


# %% tags=["check", "ex-6.8"]
check("6.8", contained)
contained = or_reference("6.8", contained)

# %% [markdown]
# First the two jets that we know, each with the top that is nearest to it.
# **Guess:** do both contain their top?

# %%
for rank, top in [(0, 1), (1, 0)]:  # the leading jet lies near the antitop, the second one near the top
    partons = np.array([tops[top], *quarks[top]])
    px, py, pz, energy = objects[jets[rank]]
    axis_eta, axis_phi = np.array([np.arcsinh(pz / np.hypot(px, py))]), np.array([np.arctan2(py, px)])
    in_jet = contained(axis_eta, axis_phi, particles.eta[partons][np.newaxis], particles.phi[partons][np.newaxis], 0.8)
    to_bottom = np.hypot(particles.eta[partons[1]] - axis_eta, delta_phi(particles.phi[partons[1]], axis_phi))
    show(f"jet {rank + 1}: mass", np.sqrt(energy**2 - px**2 - py**2 - pz**2), 0, unit="GeV")
    show(f"jet {rank + 1}: it contains its top", bool(in_jet[0]))
    show(f"jet {rank + 1}: distance of the bottom quark from the axis", to_bottom[0], 2)

# %% [markdown]
# Both have the mass of a top, but only one of them contains its top.
# The bottom quark of the antitop has a mere 34 GeV and flew off at a distance of {{jet 1: distance of the bottom quark from the axis}}.
# Two of the three prongs of the leading jet are the quarks of the W boson; the third, of about 90 GeV, is a gluon that was radiated *before* the tops were made, and happened to fly that way.
# That the three make {{jet 1: mass}} is an accident.
# This is why the label asks for the quarks, which only a simulation knows, and why a jet with the right mass is not yet a top.
#
# Now the leading jet of each of the {{events #2}} events for several $R$: does it contain the top or the antitop?
# And what is its mass?
# The mass of the sum of all momenta should be that of the top.
# **Guess** where the mass will lie if one of the quarks is outside.

# %%
radii = np.array([0.4, 0.6, 0.8, 1.0, 1.2, 1.5])
share, masses, whole = [], {}, {}
for radius in radii:
    found, _ = cluster(many_objects, radius=float(radius), min_pt=100)
    jet = found[:, 0]
    jet_eta, jet_phi = ak.to_numpy(jet.eta), ak.to_numpy(jet.phi)
    has_top = [contained(jet_eta, jet_phi, many.eta[rows[:, k]], many.phi[rows[:, k]], radius) for k in (0, 1)]
    whole[radius], masses[radius] = has_top[0] | has_top[1], ak.to_numpy(jet.mass)
    share.append(whole[radius].mean())
share = np.array(share)

# %%
with figure("radius", columns=2) as axes:
    error = np.sqrt(share * (1 - share) / len(many))
    axes[0].errorbar(radii, 100 * share, 100 * error, marker="o", linestyle="none", label=f"{len(many)} events")
    axes[0].set_xlabel("radius R")
    axes[0].set_ylabel("leading jets that contain their top [%]")
    axes[0].set_ylim(0, 100)
    axes[0].legend(fontsize=9, loc="lower right")
    for name, mask, line in [("all three quarks inside", whole[0.8], "-"), ("not all inside", ~whole[0.8], "--")]:
        axes[1].hist(masses[0.8][mask], bins=np.arange(0, 281, 14), histtype="step", linestyle=line, linewidth=1.8,
                     label=f"{name} ({mask.sum()})")  # fmt: skip
    axes[1].axvline(173, color="0.5", linestyle=":", label="mass of the top, 173 GeV")
    axes[1].set_xlabel("mass of the leading jet, R = 0.8 [GeV]")
    axes[1].set_ylabel("jets / 14 GeV")
    axes[1].legend(fontsize=9)

# %% [markdown]
# At $R = 0.4$ hardly any jet holds its top; at $0.8$, the choice of the reference data set, more than half do, and their mass is the top's.
# The others have lost at least one quark and its share of the mass: the two quarks of a W boson make 80 GeV, a bottom quark with one of them up to 150, and whatever else lies inside adds to that, as it did in our leading jet.
# A wider radius keeps more tops, but it collects more of everything else too, so that jets of the background get heavier as well.
#
# The label "top" is thus a choice.
# A top jet of the data set has *all* its quarks inside; jets of tops for which that is not so are in neither class.
#
# ## Saving jets
#
# The reference layout is a table with one row for each jet: `E_0, PX_0, PY_0, PZ_0, E_1, ...`, the constituents by falling $p_T$, the leading 200 of them, zeros behind the last.
#
# ### Your turn 6.9 · 8 min · ★★
#
# Write `reference_row(px, py, pz, energy)`: from the constituents of one jet, four arrays in any order, to the array of its 800 numbers.


# %% tags=["exercise", "ex-6.9"]
def reference_row(px, py, pz, energy): ...


# %% tags=["check", "ex-6.9"]
check("6.9", reference_row)
reference_row = or_reference("6.9", reference_row)

# %%
row = reference_row(*particles_of_jet.T)
show("numbers in the row", len(row))
show("of them padding", int(np.sum(row == 0)))

# %% [markdown]
# Nearly three quarters of the numbers, {{of them padding}} of {{numbers in the row}}, are zeros, which compress well.
# They are padding and not particles of zero energy; whoever forgets that and averages over 200 gets the wrong mean.
#
# ## Two thousand jets in under a minute
#
# `simulate_toptag` does all of this for two samples, pairs of tops and pairs of lighter quarks and gluons (called QCD; a charm or bottom quark is one parton in 25 of them): anti-$k_T$ with $R = 0.8$, the leading jet if $550 < p_T < 650$ GeV and $|\eta| < 2$, for tops matched as above.
# It takes batches of 500 events through the same functions and writes three files.
# A jet that is kept takes about 20 milliseconds, most of them in Pythia: 2000 take 40 seconds on one core.
# On a command line the same is `coursekit simulate toptag`.

# %%
from coursekit.jets import load_jets
from coursekit.simulate import simulate_toptag

paths = simulate_toptag(WORK, jets=N_JETS, seed=seed, jobs=JOBS)
for path in paths:
    jets, labels = load_jets(path)
    show(path.name, len(jets), unit="jets")

# %% [markdown]
# These are training, validation and test samples, with 60, 20 and 20% of the jets; half of all jets are tops.
# `pandas.read_hdf` reads these files and the public ones alike:

# %%
table = pd.read_hdf(paths[0], key="table", start=0, stop=100)
show("shape", table.shape)
show("first columns", tuple(table.columns[:5]))
show("last columns", tuple(table.columns[-6:]))
show("constituents sorted by pT", bool((np.hypot(table.PX_0, table.PY_0) >= np.hypot(table.PX_1, table.PY_1)).all()))
show("QCD jets with a true top momentum", int(np.sum(table.truthE[table.is_signal_new == 0] != 0)))

# %% [markdown]
# The last line is a warning: `truthE` and its neighbours are zero for all QCD jets and nowhere else.
# A network that is given these columns has been given the label.
# `load_jets` leaves them out.
#
# ## Are these jets any good?
#
# Taggers are compared on jets that somebody else has simulated, with another detector program: the Top Quark Tagging Reference Dataset.
# Ours should resemble them.
# The course ships 20 000 jets made with the function above.
# We measure on them what has been measured on half a million jets of the public set, number by number: the energies of the leading constituent (`E_0`) and of the second (`E_1`), the momenta of all constituents, and what a logistic regression on jet mass and mean constituent $p_T$ achieves, as in lesson 8.
# The uncertainty comes from ten parts of the sample, measured one by one: the spread of the ten, divided by $\sqrt{10}$.
# **Guess:** how many of the 19 numbers agree within a few per cent?

# %%
from coursekit.simulate.closure import closure_table

files = [load_jets(fetch(f"toptag_{name}.h5")) for name in ["train", "val", "test"]]
shipped, labels = ak.concatenate([jets for jets, _ in files]), np.concatenate([labels for _, labels in files])
closure = closure_table(shipped, labels)
parts = np.array([closure_table(shipped[k::10], labels[k::10]).ours for k in range(10)])
closure["error"] = parts.std(axis=0, ddof=1) / np.sqrt(10)
show("jets", len(shipped))
show("quantities", len(closure))
show("within the tolerance", int(closure.agrees.sum()))
show("within two standard deviations", int(np.sum(np.abs(closure.ours - closure.public) < 2 * closure.error)))


# %%
def in_digits(row):
    digits, factor, percent = (1, 100, "%") if row.kind == "relative" else (3, 1, "")
    return [f"{row.public:.{digits}f}", f"{row.ours:.{digits}f} ± {row.error:.{digits}f}",
            f"{round(factor * row.difference, digits) + 0.0:+.{digits}f}{percent}",
            f"{factor * row.tolerance:.{digits}f}{percent}"]  # fmt: skip


lines = [in_digits(row) for row in closure.itertuples()]
print(pd.DataFrame(lines, index=closure.index, columns=["public set", "ours", "difference", "tolerance"]).to_string())

# %% [markdown]
# All {{quantities}} agree within their tolerance, and that is too good to go unquestioned.
# The size of the towers, the share of tracks found, the noise threshold and the range of the hard process were chosen *so that these very numbers agree*.
# **The agreement is a fit, not a prediction.**
# It shows that a detector as simple as ours can be tuned to another's, and nothing about numbers that took no part.
# Nor are these 19 independent tests: most rows measure the energies of the leading constituents in one way or another, and are off together.
#
# Besides, a tolerance says what we accept, and does not measure what is true.
# Only {{within two standard deviations}} of the {{quantities}} agree within two standard deviations.
# The median of `E_0` is 3% too low, nine standard deviations: our leading constituents *are* a little softer.
#
# Here is the same as a picture, each difference in units of its tolerance, and beside it the jet mass of the shipped sample with the jets that you have just made.
# **Guess:** how much longer are the error bars of yours?

# %%
from coursekit.observables import jet_mass

own = [load_jets(path) for path in paths]
own_mass = np.concatenate([jet_mass(jets) for jets, _ in own])
own_labels = np.concatenate([labels for _, labels in own])
mass = jet_mass(shipped)


def draw_closure(ax):
    unit = closure.tolerance * np.where(closure.kind == "relative", closure.public.abs(), 1)
    place = np.arange(len(closure))[::-1]
    ax.axvline(0, color="0.5", linewidth=1, linestyle="-")
    ax.vlines([-1, 1], -0.5, len(closure) - 0.5, color="0.3", linestyle="--", label="tolerance")
    ax.errorbar((closure.ours - closure.public) / unit, place, xerr=closure.error / unit, fmt="o", color=COLOURS[0],
                label=f"ours, {len(shipped)} jets")  # fmt: skip
    ax.set_yticks(place, closure.index, fontsize=9)
    ax.set(xlim=(-1.6, 1.6), ylim=(-1, len(closure) + 1.5))  # room for the legend
    ax.set_xlabel("(ours − public set) / tolerance")
    ax.legend(fontsize=9, loc="upper right")


# %%
def draw_masses(ax):
    bins = np.arange(0, 281, 10)
    for label, name, marker, line in [(1, "top", "o", "-"), (0, "QCD", "s", "--")]:
        shared, few = mass[labels == label], own_mass[own_labels == label]
        ax.hist(shared, bins, weights=np.full(len(shared), 0.1 / len(shared)), histtype="step", linestyle=line, linewidth=1.8,
                color=COLOURS[1 - label], label=f"{name}, shipped ({len(shared)} jets)")  # fmt: skip
        number = np.histogram(few, bins)[0]
        filled = number > 0
        ax.errorbar((bins[:-1] + bins[1:])[filled] / 2, number[filled] / 10 / len(few), np.sqrt(number[filled]) / 10 / len(few), fmt=marker,
                    markersize=4, linewidth=1, color=COLOURS[1 - label], label=f"{name}, yours ({len(few)} jets)")  # fmt: skip
    ax.set_xlabel("jet mass [GeV]")
    ax.set_ylabel("share of jets / GeV")
    ax.legend(fontsize=9)


with figure("closure", columns=2, size=(11, 5)) as axes:
    draw_closure(axes[0])
    draw_masses(axes[1])

# %% [markdown]
# Yours and the shipped ones come from the same program and differ by chance alone; with 300 jets instead of 20 000, the error bars are eight times as long.
# A good test of ours would be a quantity that nobody has tuned, such as the number of constituents, measured on the public set; if you are online, `coursekit data` tells how to get it, and `closure_table` takes its jets as well.
#
# ## Where you stand

# %%
progress()

# %% [markdown]
# ## What we found
#
# 1. An event record tells one story many times.
#    The quarks of a decay belong to the last copy of the top: for {{twelve = 12 within 0 = whose pT changed by more than 20 GeV}} of twenty the first copy was off by more than 20 GeV.
# 2. Azimuths wrap.
#    The plain difference cuts one jet in four, without an error; turning the event round the beam finds it at once.
# 3. A tower grid, two resolutions and a threshold make jets like those of a full detector program.
#    What "top jet" means is decided by the radius and by the matching; the mass alone does not know.
#
# **One limitation:** the agreement with the public set is a fit.
# Besides, in our collisions only one pair of partons meets, and no other pair of protons collides at the same time; at the LHC there are about fifty such collisions on top of each other.
#
# **Next:** lesson 7 turns jets into images, and needs your `delta_phi` for it; lesson 8 measures them.
#
# **Further reading:** Pythia 8.3, [arXiv:2203.11601](https://arxiv.org/abs/2203.11601); the anti-$k_T$ algorithm, [arXiv:0802.1189](https://arxiv.org/abs/0802.1189); jets and their areas, [arXiv:0906.1833](https://arxiv.org/abs/0906.1833); FastJet, [arXiv:1111.6097](https://arxiv.org/abs/1111.6097); a fast detector simulation with energy flow, [arXiv:1307.6346](https://arxiv.org/abs/1307.6346); the reference data set and its taggers, [arXiv:1902.09914](https://arxiv.org/abs/1902.09914).
