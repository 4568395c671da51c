"""Simulated collisions: Pythia 8, a detector, FastJet, and the files that the lessons read.

Needs the extra ``pip install "coursekit[simulate]"``; importing the modules does not.
"""

from coursekit.simulate.flavour import simulate_flavour
from coursekit.simulate.hww import simulate_hww
from coursekit.simulate.jetclasses import simulate_jet_classes
from coursekit.simulate.masses import simulate_masses
from coursekit.simulate.toptag import simulate_jet_images, simulate_toptag

__all__ = [
    "simulate_flavour",
    "simulate_hww",
    "simulate_jet_classes",
    "simulate_jet_images",
    "simulate_masses",
    "simulate_toptag",
]
