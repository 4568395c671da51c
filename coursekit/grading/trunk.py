"""The process that judges one lesson: it imports what the lesson imports once, and forks for each answer.

It reads jobs from its standard input and writes what came of them to its standard output, a line of JSON each, with the
word that came with the job. It never runs code of others itself.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from coursekit.checks.exercise import exercises_of
from coursekit.grading.calls import hidden
from coursekit.grading.isolation import Limits, Walls, bounded, walls_of_this_system
from coursekit.grading.judging import Course, Judgement, judged, other_seed, unless_changed
from coursekit.grading.report import VERDICTS

#: Under which name it is counted that a process ended without a report.
_CUT_SHORT = {
    "time": "It does not end.",
    "memory": "It takes too much memory.",
    "left": "It ends Python.",
    "signal": "It was killed.",
}


class Trunk:
    """What all jobs of a lesson share."""

    def __init__(self, settings: dict) -> None:
        self.limits = Limits(**settings["limits"])
        self.seed, self.root = settings["seed"], Path(settings["root"])
        self.unseen = [Path(folder) for folder in settings["unseen"]]
        self.walls = walls_of_this_system(self.root, self.unseen) if settings["walls"] else Walls()
        self.course = Course.of(Path(settings["lesson"]))

    def exercises(self) -> dict[str, dict]:
        """Return what each exercise asks for, and by how much its hidden part raises the seeds; 0 for no such part."""
        found = exercises_of(self.course.lesson)
        return {one.number: {"goal": one.goal, "hidden": self._hidden(one)} for one in found}

    def _hidden(self, exercise) -> int:
        limits = Limits(**asdict(self.limits) | {"seconds": 10 * self.limits.seconds})
        ended = self._bounded(lambda: {"more": other_seed(exercise, self.seed)}, limits)
        return ended.report["more"] if ended.how == "done" and ended.report else 0

    def judge(self, job: dict) -> Judgement:
        def work() -> dict:
            found = judged(
                job["number"],
                job["cells"],
                job["passed"],
                self.course,
                self.seed,
                job["hidden"],
                self.limits.seconds / 2,
            )
            # Once more, when the student's objects are gone, and what they do in going is done.
            return vars(unless_changed(found, self.course.pins.moved()))

        ended = self._bounded(work, self.limits)
        if ended.how == "done" and _is_judgement(ended.report):
            return Judgement(**ended.report)
        if ended.how in ("forged", "done"):
            reason = ended.reason or "a report came that no check writes"
            return Judgement("REFUSED", f"{reason}.", "The channel of the verdicts was written to.")
        if ended.how == "failed":
            return Judgement("NOT JUDGED", f"{ended.reason or 'the check itself failed'}.", "Not judged.")
        return Judgement("NOT YET", f"{ended.reason}.", _CUT_SHORT[ended.how])

    def _bounded(self, work, limits: Limits):
        return bounded(work, limits, self.walls, self.root, self.unseen)


def _is_judgement(report: object) -> bool:
    """Whether a report has all parts of a judgement, each of its kind: who has got the secret can sign anything."""
    parts = vars(Judgement(""))
    return (
        isinstance(report, dict)
        and report.keys() == parts.keys()
        and all(type(report[name]) is type(part) for name, part in parts.items())
        and all(isinstance(remark, str) for remark in report["remarks"])
        and report["verdict"] in VERDICTS
    )


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: dict) -> None:
        out.write(json.dumps({"word": word, "answer": answer}) + "\n")
        out.flush()

    trunk = None
    for line in sys.stdin:
        word, job = json.loads(line)
        if trunk is None:
            trunk = Trunk(job)
            say({"walls": asdict(trunk.walls)})
        elif job["number"]:
            say(asdict(trunk.judge(job)))
        else:
            say(trunk.exercises())


if __name__ == "__main__":
    with hidden():
        main()
