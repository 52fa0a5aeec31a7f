"""The commands for living with results: results, export, compare. No torch."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from layerwise.command.results import found_in, listed, removed, to_remove
from layerwise.planning.places import PROJECT, need_checkout
from layerwise.planning.request import from_words
from layerwise.results.folders import named
from layerwise.settings.validation import ConfigError

results_app = typer.Typer(add_completion=False, help="List folders of results, or remove one.")
Label = Annotated[str, typer.Argument(metavar="LABEL", help="As `layerwise results` lists it.")]


@results_app.callback(invoke_without_command=True)
def results(context: typer.Context) -> None:
    """List folders of results with their sizes, ages and overrides, or remove one."""
    need_checkout("layerwise results")
    if context.invoked_subcommand is None:
        typer.echo("\n".join(listed(PROJECT)))


@results_app.command("remove")
def remove_(
    label: Label,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    standing: Annotated[
        bool, typer.Option("--standing", help="Also results without overrides.")
    ] = False,
) -> None:
    """Delete a folder's results and figures."""
    folder = to_remove(PROJECT, label, standing)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                f"the folder {folder.name!r} is not removed: nobody can be asked here, --yes removes it"
            )
        typer.confirm(f"Remove {folder.results} and {folder.figures}?", abort=True)
    typer.echo(removed(folder))


def export_(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OVERRIDE]...", help="Those that it was reproduced with."),
    ] = None,
    scale: Annotated[str, typer.Option(help="The scale that it was reproduced at.")] = "paper",
    out: Annotated[
        Path | None, typer.Option(help="The archive.", show_default="EXPERIMENT.zip")
    ] = None,
    methods_from: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="As for reproduce.")
    ] = None,
) -> None:
    """Put an experiment's tables, figures and records into one archive."""
    need_checkout("layerwise export")
    from layerwise.command.export import export  # pandas takes its time

    request = from_words([experiment, *(overrides or [])], scale, methods_from)
    if request.experiments != (experiment,):
        raise ConfigError(
            f"export takes one experiment and its overrides, not {' '.join(request.experiments) or 'none'}"
        )
    out = out or Path(f"{experiment}.zip")
    export(PROJECT, request, out)
    typer.echo(f"wrote {out}")


def compare_(
    first: Annotated[str, typer.Argument(metavar="A", help="As `layerwise results` lists it.")],
    second: Annotated[str, typer.Argument(metavar="B")],
) -> None:
    """Show what differs between two folders of results: settings, choices, metrics paired by seed."""
    need_checkout("layerwise compare")
    from layerwise.command.compare import compared

    found = found_in(PROJECT)
    typer.echo("\n".join(compared(named(first, found), named(second, found))))


def register(app: typer.Typer) -> None:
    """Add the commands to the program's."""
    app.add_typer(results_app, name="results")
    app.command("export")(export_)
    app.command("compare")(compare_)
