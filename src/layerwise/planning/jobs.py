"""Cells, which are methods on problems, and jobs, which run several of them. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from layerwise.planning.sources import code_of
from layerwise.results.files import canonical, digest_of
from layerwise.settings.memory import runs
from layerwise.settings.run import RunSettings


@dataclass(frozen=True)
class Cell:
    """A method on a problem. ``varied`` holds the keys that the experiment varies, for the tables."""

    problem: str
    varied: dict[str, Any]
    settings: RunSettings


@dataclass(frozen=True)
class Job:
    """Cells that run one after the other; those of a method are next to each other."""

    cells: tuple[Cell, ...]

    @cached_property
    def methods(self) -> list[dict[str, Any]]:
        """All that affects its numbers, method by method: cells of an entry differ in their tasks alone."""
        methods: dict[str, dict[str, Any]] = {}
        for cell in self.cells:
            shared = cell.settings.model_dump(exclude={"task"})
            task = cell.settings.task.model_dump()
            own = {"problem": cell.problem, "varied": cell.varied, "task": task}
            entry = methods.setdefault(canonical(shared), {"settings": shared, "problems": []})
            entry["problems"].append(own)
        return list(methods.values())

    @property
    def content(self) -> str:
        """The same as canonical JSON."""
        return canonical(self.methods)

    @cached_property
    def digest(self) -> str:
        """Of its content: another one is another job."""
        return digest_of(self.methods)

    @property
    def text(self) -> str:
        """Its content for its file, with a line for each method's settings and for each problem."""
        methods = [
            f'{{"problems":{json_lines(map(canonical, method["problems"]))},'
            f'"settings":{canonical(method["settings"])}}}'
            for method in self.methods
        ]
        return json_lines(methods) + "\n"

    @cached_property
    def instances(self) -> tuple[str, ...]:
        """Canonical JSON of each of the instances that its cells share with others; none where a run
        draws its own."""
        found = (
            instance for cell in self.cells for instance in cell.settings.instances if instance
        )
        return tuple(dict.fromkeys(found))

    @cached_property
    def run_steps(self) -> float:
        """Steps of all its runs, in such as take as long as one at d = 100, or on 10000 hidden values; at
        most, since a run may end when it arrives."""
        steps = 0.0
        for cell in self.cells:
            task = cell.settings.task
            samples, units = task.raw_samples
            size = max(task.dimension**2, samples * units) / 100**2
            steps += runs(cell.settings) * cell.settings.steps * size
        return steps

    @cached_property
    def code(self) -> str:
        """The digest of the code that it runs: of the task's and the rules' modules, which a run loads by
        name, and of what they use."""
        methods = [cell.settings.method for cell in self.cells]
        rules = {method.rule.split(".")[0] for method in methods if method.rule_file is None}
        named = {module for cell in self.cells for module in cell.settings.task.modules}
        name = self.cells[0].settings.task.name
        return code_of(
            "layerwise.tasks.run",
            f"layerwise.tasks.{name}",
            f"layerwise.settings.tasks.{name}",
            *sorted(f"layerwise.methods.{rule}" for rule in rules),
            *sorted(named),
            files=[
                file
                for method in methods
                for file in (method.rule_file, method.optimizer_file)
                if file is not None
            ],
        )


def json_lines(entries: Iterable[str]) -> str:
    """A JSON list of entries, each on a line."""
    return "[\n" + ",\n".join(entries) + "\n]"
