"""Studies: a whole analysis from one YAML file, which is its record; `coursekit study` runs it.

settings/    what a file may say: one module a section
reading.py   the file itself: includes, origins, errors that name file, line and key
"""
