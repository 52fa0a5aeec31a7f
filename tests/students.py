"""Small students for tests: five inputs, two hidden layers of six, two outputs."""

from helpers import composed, random
from layerwise.data.students import Batch
from layerwise.data.teacher import Teacher, draw_teacher
from layerwise.networks.base import Layers
from layerwise.networks.mlp import MLP
from layerwise.settings.tasks.teacher_student import TeacherStudentTask

SMALL = (
    "task=teacher_student", "task.d_x=5", "task.d_y=2", "task.rank=2", "task.width=6", "task.depth=2",
    "task.kappa_x=10", "task.batch_size=24", "task.n_validation=20", "task.n_test=40",
    "task.n_transfer=30", "task.n_choice=20",
)  # fmt: skip
SEEDS = (0, 1)


def small_task(*changes: str) -> TeacherStudentTask:
    """The small task with further overrides."""
    task: TeacherStudentTask = composed(*SMALL, *changes).task
    return task


def teachers(task: TeacherStudentTask) -> list[Teacher]:
    """Those of SEEDS."""
    return [draw_teacher(task, seed) for seed in SEEDS]


def small_network(name: str, task: TeacherStudentTask) -> MLP:
    """A network of the task for SEEDS."""
    return MLP(name, task, [teacher.covariance for teacher in teachers(task)])


def small_weights(task: TeacherStudentTask, variants: int = 1) -> Layers:
    """Layers of order one, [W b], different in every seed and variant."""
    sizes = [task.d_x, *[task.width] * task.depth, task.d_y]
    return tuple(
        random(len(SEEDS), variants, rows, columns + 1, seed=place) / columns**0.5
        for place, (columns, rows) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    )


def small_batch(task: TeacherStudentTask, seed: int, n: int = 24) -> Batch:
    """Inputs with a mean, and targets, that no teacher made."""
    shape = len(SEEDS), n
    return Batch(random(*shape, task.d_x, seed=seed) + 0.3, random(*shape, task.d_y, seed=seed + 1))
