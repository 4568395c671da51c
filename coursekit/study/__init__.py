"""Studies: a whole analysis from one YAML file, which is its record; `coursekit study` runs it.

settings/        what a file may say: one module a section, and what holds for several in `Study`
documents.py     one YAML file as plain values with their lines
reading.py       a file and what it includes as one study; complaints.py words what is wrong with it
writing.py       a study as text with the origin of each value; differences of two; the schema for editors
migration.py     files of an older framework as studies, by the names in former.py
expressions.py   cuts, weights and derived columns
dataset.py       the events: samples.py reads them, view.py has them as one training sees them
training/        from a dataset to scores for every event
tune.py          a search: searching.py proposes trials, trial.py is one, objective.py measures it
run.py           the steps of a study, in the folder of folder.py
report/          the page with figures and tables
"""
