"""A class graded: every exercise of every submission judged, and what came of it as one document.

The document says nothing of the day or the machine, so that the same submissions give the same files again.
"""

import contextlib
import functools
import json
import os
import queue
import secrets
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from coursekit import __version__
from coursekit.data import cache_folder
from coursekit.grading.calls import hidden
from coursekit.grading.isolation import THREADS, Limits
from coursekit.grading.submissions import LessonOfClass, Submission, lesson_of_class, submissions
from coursekit.lesson import lesson_folder
from coursekit.threads import share

__all__ = ["SCHEMA", "grade"]

#: Raised when a key of the document changes its name or its meaning.
SCHEMA = 1
#: Seconds that a process may take to import a lesson, and to answer after the time of an exercise is over.
_START, _GRACE = 300, 30
_KEPT = ("PATH", "LANG", "LC_", "OMP", "OPENBLAS", "MKL", "TF_", "KERAS_BACKEND", "COURSEKIT_ROOT")
_KEPT += ("PYTHONPATH", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "SYSTEMROOT")


class _Trunk:
    """The end of `coursekit.grading.trunk` on this side."""

    def __init__(self, settings: dict, jobs: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
        # -P: who grades in the folder with the submissions imports nothing that lies there, a student's numpy.py.
        self._command = [sys.executable, "-P", "-m", "coursekit.grading.trunk"]
        threads = {name: str(min(int(number), THREADS)) for name, number in share(jobs).items()}
        self._environment = environment | threads | {"HOME": settings["root"], "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._environment["TF_NUM_INTEROP_THREADS"] = "2"  # of a limited number, whatever the machine has
        self._environment["COURSEKIT_PROGRESS"] = "off"  # what is passed here is nobody's progress
        with contextlib.suppress(FileNotFoundError):  # the cache of the data, which another HOME would hide
            self._environment["COURSEKIT_DATA"] = str(cache_folder())
        self._settings, self._process, self._said = settings, None, None

    def start(self) -> dict:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - what the process says when it fails
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=self._environment,
            start_new_session=True,
        )
        return self._asked(self._settings, _START)

    def ask(self, job: dict, seconds: float) -> dict | None:
        """Return the answer, or None if there is none: then the process is started anew."""
        try:
            return self._asked(job, seconds)
        except OSError:
            self.stop()
            self.start()
            return None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._said):
                with contextlib.suppress(OSError):
                    pipe.close()

    def _asked(self, job: dict, seconds: float) -> dict:
        word, answer = secrets.token_hex(8), None
        self._process.stdin.write(json.dumps([word, job]).encode() + b"\n")
        self._process.stdin.flush()
        if select.select([self._process.stdout], [], [], seconds)[0]:
            with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
                said = json.loads(self._process.stdout.readline())
                answer = said["answer"] if said["word"] == word else None  # or others have written there
        if answer is None:
            name = Path(self._settings["lesson"]).parent.name
            self._said.seek(0)
            last = self._said.read().decode(errors="replace").strip().rpartition("\n")[2][:300]
            raise OSError(f"the process that judges lesson {name} does not answer{': ' if last else ''}{last}")
        return answer


@hidden()
def grade(
    folder: Path,
    limits: Limits | None = None,
    seed: int = 1,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda lesson, done, total: None,
    walls: bool = True,
) -> dict:
    """Judge all submissions in a folder.

    Parameters
    ----------
    folder : pathlib.Path
        ``NAME.ipynb`` and ``NAME/...ipynb``, as in `coursekit.grading.submissions`.
    limits : Limits, optional
        What an exercise may take.
    seed : int
        Of the hidden part of the checks, and the parameter `seed` of the lessons.
    jobs : int
        Processes at once; the result does not depend on it.
    progress : callable
        Called with lesson, submissions done and submissions in all.
    walls : bool
        False does without walls, as on a system that lets nobody build any.

    Returns
    -------
    dict
        ``schema``, ``coursekit``, ``seed``, ``limits``, ``walls``, ``lessons`` and ``submissions``, as
        docs/grading.md has it.

    Raises
    ------
    OSError
        There is nothing to judge, or it cannot be judged here; says what to do.
    """
    lessons = functools.cache(functools.partial(lesson_of_class, lesson_folder(1).parent))
    found = submissions(Path(folder), lessons)
    limits, judged, graded, holding, failures = limits or Limits(), {}, {}, {}, []
    for number in sorted({one.lesson for one in found if not one.problem}):
        mine = [one for one in found if one.lesson == number and not one.problem]
        with tempfile.TemporaryDirectory(prefix="coursekit-grade-") as root:
            os.chmod(root, 0o755)
            settings = {
                "lesson": str(lessons(number).path),
                "limits": asdict(limits),
                "root": root,
                "seed": seed,
                "unseen": [str(Path(folder).resolve())],
                "walls": walls,
            }
            try:
                outcome = _graded(mine, lessons(number), settings, min(jobs, len(mine)), limits, progress)
            except Exception as error:  # an extra that this lesson needs is not there, say: others do without it
                failures.append(error)
                _refuse(mine, error)
                continue
        graded[number], holding = outcome["lesson"], outcome["walls"]
        judged |= outcome["submissions"]
    if failures and not graded:
        raise failures[0]
    return {
        "schema": SCHEMA,
        "coursekit": __version__,
        "seed": seed,
        "limits": asdict(limits),
        "walls": holding,
        "lessons": [graded[number] for number in sorted(graded)],
        "submissions": [_document(one, judged.get(id(one), [])) for one in found],
    }


def _graded(mine: list[Submission], lesson: LessonOfClass, settings: dict, jobs: int, limits: Limits, progress) -> dict:
    """Judge the submissions of one lesson, with as many processes as there are jobs."""
    waiting, done, failures = queue.SimpleQueue(), {}, []
    for one in mine:
        waiting.put(one)
    trunks = [_Trunk(settings, jobs) for _ in range(jobs)]
    try:
        walls = trunks[0].start()["walls"]
        patience = _GRACE + 10 * limits.seconds * len(lesson.stars)
        asked = trunks[0].ask({"number": ""}, patience)
        if asked is None:
            raise OSError(f"the exercises of lesson {lesson.number} do not end here: give them more seconds")
        progress(lesson.path.parent.name, 0, len(mine))

        def work(trunk: _Trunk) -> None:
            try:
                if trunk is not trunks[0]:
                    trunk.start()
                while not waiting.empty() and not failures:
                    with contextlib.suppress(queue.Empty):
                        one = waiting.get_nowait()
                        done[id(one)] = _judge(one, lesson, asked, trunk, limits)
                        progress(lesson.path.parent.name, len(done), len(mine))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(trunk,), daemon=True) for trunk in trunks]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # so that Ctrl-C is heard
    finally:
        for trunk in trunks:
            trunk.stop()
    if failures and not done:
        raise failures[0]
    if failures:
        _refuse([one for one in mine if id(one) not in done], failures[0])
    exercises = [
        {"exercise": number, "goal": asked[number]["goal"], "points": stars, "hidden": asked[number]["hidden"] > 0}
        for number, stars in lesson.stars.items()
    ]
    return {
        "lesson": {"lesson": lesson.number, "title": lesson.title, "exercises": exercises},
        "submissions": done,
        "walls": walls,
    }


def _refuse(unjudged: list[Submission], error: Exception) -> None:
    for one in unjudged:
        one.problem = f"lesson {one.lesson} could not be judged here: {error}"


def _judge(one: Submission, lesson: LessonOfClass, asked: dict, trunk: _Trunk, limits: Limits) -> list[dict]:
    """Judge one submission, in the order of its exercises, since later ones may build on what is right."""
    rows, passed = [], []
    for number, stars in lesson.stars.items():
        row = {"verdict": "MISSING", "reason": "the cell of this exercise is not there.", "mistake": "", "remarks": []}
        if number in one.ends:
            job = {"number": number, "cells": one.cells[: one.ends[number]], "passed": passed}
            job["hidden"] = asked[number]["hidden"]
            row = trunk.ask(job, limits.seconds + _GRACE)
            row = row or trunk.ask(job, limits.seconds + _GRACE)  # somebody may have killed it from outside
            row = row or {
                "verdict": "NOT JUDGED",
                "reason": "the process that judges was killed, twice.",
                "mistake": "Not judged.",
                "remarks": [],
            }
        passed += [number] if row["verdict"] == "PASS" else []
        row["remarks"] += one.remarks.get(number, [])
        if (shown := one.shown.get(number, "")) == "PASS" != row["verdict"]:
            row["remarks"].append("the notebook shows [PASS] for it")
        points = stars if row["verdict"] == "PASS" else 0
        rows.append(
            {"exercise": number}
            | row
            | {"points": points, "out_of": stars, "shown": shown, "tries": one.tries.get(number)}
        )
    return rows


def _document(one: Submission, rows: list[dict]) -> dict:
    document = {
        "student": one.student,
        "notebook": one.notebook,
        "lesson": one.lesson,
        "problem": one.problem,
        "points": sum(row["points"] for row in rows),
        "out_of": sum(row["out_of"] for row in rows),
        "exercises": rows,
    }
    return _writable(document)


def _writable(value):
    """Return it with an escape for each half of a pair of surrogates, as names of files hold, which no file can."""
    if isinstance(value, dict):
        return {key: _writable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_writable(part) for part in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
