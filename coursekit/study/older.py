"""A file of the older framework: its values, and what became of each of them."""

from pathlib import Path

from coursekit.study.documents import Mark, StudyError, kind, read_document
from coursekit.study.former import FORMER
from coursekit.study.reading import overlaid


def read_old(path: Path, chain: tuple[Path, ...]) -> tuple[dict, dict]:
    """Read a file of the older framework with what it includes, which overwrites in order as ours does."""
    document = read_document(path)
    if path.resolve() in chain:
        raise StudyError(f"{path}: includes itself, directly or through another file: cut the circle")
    values, marks = {}, {}
    config = document.values.get("config")
    names = config.pop("include", None) if isinstance(config, dict) else None
    for name in names if isinstance(names, list) else [names] if names else []:
        above = [folder / str(name) for folder in path.resolve().parents]
        file = next((file for file in above if file.is_file()), None)
        if file is None:
            at = document.marks["config", "include"]
            raise StudyError(f"{at}: config.include: {name} is neither in {path.parent} nor in a folder above it")
        inner, below = read_old(file, (*chain, path.resolve()))
        values, marks = overlaid(values, inner, marks, below, ())
    return overlaid(values, document.values, marks, document.marks, ())


class Old:
    """The values of an old file, what has been taken from them, and the study that comes of it."""

    def __init__(self, values: dict, marks: dict[tuple, Mark]):
        self.values, self.marks, self.taken = values, marks, set()
        self.new, self.marks_of_new, self.remarks = {}, {(): marks[()]}, []

    def names(self) -> list[str]:
        """Name all keys of all sections."""
        return [f"{name}.{key}" for name, inside in self.values.items() if isinstance(inside, dict) for key in inside]

    def take(self, key: str, default=None, kinds: type | tuple = object):
        """Return the value of a key, which then is dealt with; one of a wrong kind is remarked and not taken."""
        section, _, name = key.partition(".")
        inside = self.values.get(section)
        value = inside.get(name) if isinstance(inside, dict) else None
        self.taken.add(key)
        if value is None:
            return default
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds not in (object, bool)):
            self.remark(key, f"{kind(value)} is not what it should be: left out")
            return default
        return value

    def put(self, new: str | tuple, value, *olds: str) -> None:
        """Write a value into the study, and remember the line that it is from."""
        path = tuple(new.split(".")) if isinstance(new, str) else new
        here = self.new
        for part in path[:-1]:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                return
        here[path[-1]] = value
        marks = [self.marks[tuple(old.split("."))] for old in olds if tuple(old.split(".")) in self.marks]
        if marks:
            self.marks_of_new[path] = marks[0]
            for n in range(1, len(path)):
                self.marks_of_new.setdefault(path[:n], marks[0])

    def move(self, old: str, new: str, convert=None, kinds: type | tuple = object) -> None:
        """Carry a value over under its new name."""
        if (value := self.take(old, kinds=kinds)) is not None:
            self.put(new, convert(value) if convert else value, old)

    def word(self, old: str, new: str, words: dict[str, str]) -> None:
        """Carry over a word that is another one here."""
        if (value := self.take(old)) is not None:
            if str(value) in words:
                self.put(new, words[str(value)], old)
            else:
                self.put(new, value, old)
                self.remark(old, f"{kind(value)} is carried over as it is: see what {new} may be")

    def remark(self, old: str, what: str) -> None:
        """Say what could not be carried over."""
        path = tuple(old.split("."))
        at = next(self.marks[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.marks)
        self.remarks.append(f"{at}: {old}: {what}")

    def remark_what_is_left(self) -> None:
        """Say what became of each key that nothing has taken."""
        for key in self.names():
            if key in self.taken:
                continue
            former = FORMER.get(key)
            if former is None:
                self.remark(key, "is no key that is known: left out")
            elif former.new:
                self.remark(key, f"left out; see {former.new}" + (f" ({former.note})" if former.note else ""))
            else:
                self.remark(key, f"left out: {former.note}")
        for name, inside in self.values.items():
            if not isinstance(inside, dict) and inside is not None:
                self.remark(name, "is no section that is known: left out")
