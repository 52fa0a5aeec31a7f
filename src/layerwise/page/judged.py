"""Claims as judged on a folder's tables."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from layerwise.page.folder import Folder
from layerwise.page.forest import BESIDE
from layerwise.page.margins import Part


@dataclass(frozen=True)
class Judged:
    """A claim with its parts, as judged on a folder's tables."""

    name: str
    rows: list[dict[Any, Any]]  # of the table of parts

    @cached_property
    def parts(self) -> list[Part]:
        """Its statistics."""
        return [Part.of(row) for row in self.rows]

    @property
    def verdict(self) -> str:
        """On all its parts together."""
        return str(self.rows[0]["verdict"])

    @property
    def verdicts(self) -> list[str]:
        """By part, where the table has them, else the claim's; a part without a bound has none."""
        return [
            str(row.get("part_verdict", row["verdict"]))
            if part.sides or not part.measured
            else BESIDE
            for row, part in zip(self.rows, self.parts, strict=True)
        ]

    @property
    def group(self) -> str:
        """Whose it is: the paper's have names with C."""
        return "paper" if self.name.startswith("C") else "ours"

    @property
    def statement(self) -> str:
        """What it says."""
        return str(self.rows[0]["statement"])

    @property
    def source(self) -> str:
        """Where it is made."""
        return str(self.rows[0]["source"])

    @property
    def figure(self) -> str:
        """What shows it."""
        return str(self.rows[0]["figure"])

    @property
    def view(self) -> str:
        """Of its data, as an address says it; nothing where its arguments say it."""
        return str(self.rows[0].get("view", ""))


def judged_claims(folder: Folder) -> list[Judged]:
    """A folder's claims in their order."""
    if not folder.claims:
        return []
    rows: dict[str, list[dict[Any, Any]]] = {}
    for row in folder.claims[""].to_dict("records"):
        rows.setdefault(str(row["claim"]), []).append(row)
    return [Judged(name, own) for name, own in rows.items()]
