"""What Snakemake would run, and why, by its own account and not by what it prints: a program, since a
workflow works in a folder of its own. `python -m layerwise.command.dry_run SETTINGS OUT` writes the jobs
as JSON. No torch.

No profile is read: a user's may print less, or look at less.
"""

import sys
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

from layerwise.results.files import write_json

# Why Snakemake runs a job, the most telling first.
REASONS = ("code", "settings", "input", "rule", "inputs", "interrupted", "missing", "upstream")


def due(settings: Path) -> list[dict[str, Any]]:
    """The jobs that a request's settings make due. Raises WorkflowError for what cannot be planned."""
    output = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with SnakemakeApi(output) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[settings]),
            snakefile=Path("Snakefile"),
        )
        # As the project's own profile has it: what a killed run left is made again.
        dag = workflow.dag(DAGSettings(force_incomplete=True))
        dag.execute_workflow(executor="dryrun")
        graph = workflow._workflow.dag
        return [
            _described(job, graph.reason(job)) for job in graph.needrun_jobs(exclude_finished=False)
        ]


def _described(job: Any, reason: Any) -> dict[str, Any]:
    """A job as :class:`layerwise.command.snakemake.Due` has it."""
    changed = reason.updated_input - reason.updated_input_run
    params = reason.params_changed
    # A code's digest says that it is one.
    others = [text.strip("'") for text in {*params.only_old, *params.only_new}] if params else []
    code = bool(others) and all(text.startswith("code ") for text in others)
    holds = (
        code, params, changed, reason.code_changed, reason.input_changed,
        reason.incomplete_output, reason.missing_output, reason.updated_input_run,
    )  # fmt: skip
    found = [name for name, it_does in zip(REASONS, holds, strict=True) if it_does]
    return {
        "rule": job.rule.name,
        "wildcards": {key: str(value) for key, value in job.wildcards_dict.items()},
        "reason": found[0] if found else str(reason),
        "changed": sorted(map(str, changed)),
    }


def main() -> None:
    settings, out = map(Path, sys.argv[1:])
    try:
        write_json(due(settings), out)
    except WorkflowError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
