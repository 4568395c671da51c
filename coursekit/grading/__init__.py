"""Submitted notebooks, judged each in a bounded process: `coursekit grade`; docs/grading.md says what that is worth."""
