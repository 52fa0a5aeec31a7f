"""The `layerwise` command: what there is, what would run, running it, its page, and a new method."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from layerwise.command import living, lock
from layerwise.command.catalogue import KINDS, catalogue
from layerwise.command.estimate import earlier_runs
from layerwise.command.explain import described, due_lines, time_line
from layerwise.command.scaffold import new_method
from layerwise.command.snakemake import INTERRUPTED, due
from layerwise.command.snakemake import reproduce as run_pipeline
from layerwise.command.trial import try_optimizers
from layerwise.planning.pipeline import Pipeline
from layerwise.planning.places import PROJECT, need_checkout
from layerwise.planning.request import Request, from_words
from layerwise.results.files import FileError
from layerwise.results.terminal import escape_what_does_not_print
from layerwise.settings.validation import ConfigError
from layerwise.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
living.register(app)
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[EXPERIMENT|OVERRIDE]...",
        help="Experiments (all if none is named), and overrides in Hydra's grammar: task.KEY=VALUE, "
        "method.NAME.KEY=VALUE, seeds=N, +method=NAME.",
        show_default=False,
    ),
]
Scale = Annotated[str, typer.Option(help="How much is run: a file of config/scale.")]
Cores = Annotated[int | None, typer.Option(min=1, help="CPUs to use.", show_default="all of them")]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--methods-from", metavar="FOLDER", help="A folder with methods of yours, NAME.yaml each."
    ),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"layerwise {__version__}")
        raise typer.Exit


@app.callback()
def layerwise(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """A bench for layer-wise preconditioning and feature learning."""


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(KINDS)}.")] = None,
    methods_from: Folders = None,
) -> None:
    """List experiments, figures, methods, tasks and scales, with a line on each."""
    for shown in KINDS if kind is None else [kind]:
        entries = catalogue(shown, [str(folder) for folder in methods_from or []])
        width = max(map(len, entries))
        typer.echo(shown)
        for name, text in entries.items():
            typer.echo(f"  {name:<{width}}  {text}")


@app.command()
def explain(
    words: Words = None,
    scale: Scale = "paper",
    cores: Cores = None,
    methods_from: Folders = None,
) -> None:
    """Say what experiments would run: configuration, size, what is due and why, and for how long."""
    need_checkout("layerwise explain")
    request = from_words(words, scale, methods_from)
    plans = request.plans()
    try_optimizers(request, plans.values())
    for planned in plans.values():
        typer.echo("\n".join([*described(planned), ""]))
    try:
        jobs = due(request)
    except subprocess.CalledProcessError as error:
        typer.echo(error.stdout, err=True)
        raise typer.Exit(error.returncode) from None
    earlier = earlier_runs(PROJECT / "results")
    typer.echo("\n".join([*due_lines(jobs), time_line(jobs, plans, earlier, cores or _cores())]))
    typer.echo(f"{_places(request)}, made by `layerwise reproduce`")


@app.command()
def reproduce(
    context: typer.Context,
    words: Words = None,
    scale: Scale = "paper",
    cores: Cores = None,
    methods_from: Folders = None,
) -> None:
    """Run experiments as far as they are due, and draw their figures.

    What stands after -- goes to Snakemake, as in `layerwise reproduce -- --dry-run`.
    """
    need_checkout("layerwise reproduce")
    request = from_words(words, scale, methods_from)
    try_optimizers(request, request.plans().values())  # both refuse what cannot be used
    if any(option.startswith("--configfile") for option in context.obj):
        raise ConfigError("--configfile is not allowed after --: allowed are overrides before it")
    typer.echo(_places(request), err=True)
    code = run_pipeline(request, ["--cores", str(cores or "all"), *context.obj])
    if code == INTERRUPTED:
        typer.echo("Interrupted: the same command goes on from here.", err=True)
    elif code and (why := lock.explained(PROJECT)):
        typer.echo(f"error: {why}", err=True)
    if not code:
        typer.echo(_places(request), err=True)
        name = Pipeline(request).claims.replace("claims", "page", 1)
        if (page := PROJECT / f"figures{request.label}/{name}.html").exists():
            typer.echo(f"Page: {page}", err=True)
    raise typer.Exit(code)


@app.command("page")
def page_(
    labels: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LABEL]...",
            help="Folders of results: paper (the full scale, if none is named), another under "
            "results/, or a path. The first is compared with the others.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it.", show_default=False)] = None,
    browser: Annotated[bool, typer.Option(help="Whether to open it.")] = True,
) -> None:
    """Put results on one page to explore, share and compare, and open it."""
    os.environ["MPLBACKEND"] = "agg"  # it shows nothing, and what a shell names may not be there
    from layerwise.command.page import make_page, show  # matplotlib takes its time

    if not labels:
        need_checkout("layerwise page without the path of a folder of results")
    written = make_page(labels or [], out)
    typer.echo(f"Page: {written}")
    if browser:
        show(written)


@app.command("new-method")
def new_method_(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and _.")],
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="A torch.optim.Optimizer class, as in torch.optim.AdamW."
        ),
    ] = None,
    methods_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where to write them, instead of config/method and src/."
        ),
    ] = None,
) -> None:
    """Write the files of a new method: its configuration and, without --optimizer, its rule."""
    for path in new_method(name, optimizer, methods_from):
        shown = path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path
        typer.echo(f"wrote {shown}")
    where = f" --methods-from {shlex.quote(str(methods_from))}" if methods_from else ""
    typer.echo(
        f"next: edit them, then `layerwise reproduce +method={name}{where}`; see docs/new_method.md"
    )


def _places(request: Request) -> str:
    """Where a request's files are."""
    return f"Results: results{request.label}, figures: figures{request.label}"


def _cores() -> int:
    """All that this process may use, as Snakemake takes them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Run the command. A setting that cannot be used ends it with one sentence and exit code 2."""
    words, snakemake_options = sys.argv[1:], []
    if "--" in words:
        cut = words.index("--")
        words, snakemake_options = words[:cut], words[cut + 1 :]
    escape_what_does_not_print()
    try:
        app(words, prog_name="layerwise", obj=snakemake_options)
    except ConfigError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except FileError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
