"""Simulated collisions: Pythia 8, a detector, FastJet, and the files that the lessons read.

Needs the extra ``pip install "coursekit[simulate]"``; importing the modules does not.
"""

from coursekit.simulate.hww import simulate_hww

__all__ = ["simulate_hww"]
