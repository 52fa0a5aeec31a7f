"""What a task says of itself to the plans: settings, and its card. No torch.

A task is three files of one name: its settings with their card in ``settings/tasks/``, its ``run`` in
``tasks/``, and its values with their sources in ``config/task/``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from layerwise.settings.validation import Settings, nearest

if TYPE_CHECKING:
    from layerwise.settings.run import RunSettings

# What a rule may need of a network; see layerwise.networks.base.Need.
Offers = frozenset[
    Literal[
        "gradients", "inputs", "outputs", "refit", "linear", "readout", "gauss_newton", "hessian"
    ]
]
PACKAGE_DIR = Path(__file__).parents[1]


def one_of(folder: str) -> Any:
    """The type of a name that is a file of a folder of the package, such as a spectrum or a link."""
    names = sorted(p.stem for p in (PACKAGE_DIR / folder).glob("*.py") if p.stem != "__init__")

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"allowed are {', '.join(names)}{nearest(name, names)}")
        return name

    return Annotated[str, AfterValidator(check)]


Spectrum = one_of("data/spectra")
Link = one_of("theory/links")
# Bounds within which double precision resolves a problem; run.FLOAT32_CONDITION is single's.
Condition = Annotated[float, Field(ge=1, le=1e12)]
Noise = Annotated[float, Field(ge=0, le=1e6)]
# A square matrix of the largest dimension takes 3 GB; moments have any number of samples, raw inputs not.
MAX_DIMENSION = 20_000
MAX_SAMPLES = 10**12
MAX_RAW_SAMPLES = 10**7
# Weights that a dense Hessian takes at most: its side.
HESSIAN_WEIGHTS = 1024


class TaskSettings(Settings):
    """Base of the tasks' settings. The class variables are a task's card."""

    # Networks by name, and what each offers to rules at most.
    networks: ClassVar[Mapping[str, Offers]]
    # The metrics that it can measure.
    measures: ClassVar[tuple[str, ...]]
    # What an experiment on it may select step sizes by; "nothing" collects its tables as they are.
    selects: ClassVar[tuple[str, ...]]
    # Settings of a run, beyond those of every task, that it reads.
    reads: ClassVar[frozenset[str]] = frozenset()
    # Keys of the task that change what is measured alone: cells that differ in them train once.
    measured_only: ClassVar[frozenset[str]] = frozenset()
    # Keys that leave what a moment-wise batch is made of as it is, see layerwise.data.moments.Draw.
    beside_draws: ClassVar[frozenset[str]] = frozenset()
    # The key that says how many samples a step is on, where these are raw.
    samples_key: ClassVar[str] = "batch_size"

    name: str
    metrics: list[str]  # those measured, of ``measures``

    @property
    def engine(self) -> str:
        """The engine of a run that names none."""
        raise NotImplementedError

    @property
    def dimension(self) -> int:
        """Of the inputs."""
        raise NotImplementedError

    @property
    def raw_samples(self) -> tuple[int, int]:
        """How many a step is on, and hidden units that see each; none where moments stand for these."""
        return 0, 0

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules of the package that a run loads by name, beside its task and its rule."""
        return ()

    def offers(self, network: str) -> Offers:
        """What a network offers under these settings."""
        return self.networks[network]

    def instance(self, seeds: Sequence[int]) -> str | None:
        """Canonical JSON of what the instances of ``seeds`` depend on, the same for tasks that share
        them; None where a run draws its own."""
        return None

    def check(self, run: "RunSettings") -> None:
        """Raise ValueError, with one sentence, where the run's other settings do not fit."""
