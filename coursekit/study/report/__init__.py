"""What a study has found: one page with every figure and table, the figures as files, the numbers for `results.json`.

page.py        the page, self-contained
selection.py   which events a result is quoted on, with which weights, and the mean of the repeats
"""
