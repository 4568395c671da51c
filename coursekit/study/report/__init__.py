"""What a study has found: one page with every figure and table, the figures as files, the numbers for `results.json`.

make.py        the sections, in their order
page.py        the page, self-contained
selection.py   which events a result is quoted on, with which weights, and the mean of the repeats
drawing.py     histograms, labels and bins that sections share
statistics.py  the numbers behind the figures
"""
