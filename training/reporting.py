"""Where else the numbers of a run go: the bus, for whoever watches, and TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from shared.bus import Bus, BusError
from shared.events import TrainStep
from training.errors import TrainingError
from training.progress import Log


def other_logs(
    name: str, steps: int, folder: Path, bus: bool, tensorboard: bool, stack: ExitStack, from_step: int
) -> list[Log]:
    """Those that are asked for, until the stack is left. Raises TrainingError."""
    logs: list[Log] = []
    if bus:
        try:
            opened = stack.enter_context(Bus.open("training"))
        except BusError as error:
            raise TrainingError(str(error)) from None
        logs.append(BusLog(opened, name, steps))
    if tensorboard:
        board = TensorBoardLog(folder / "tensorboard", from_step)
        stack.callback(board.close)
        logs.append(board)
    return logs


class BusLog:
    """Publishes `train.step` and never waits: without a broker the events are lost, not the run's time."""

    def __init__(self, bus: Bus, run: str, steps: int) -> None:
        self._bus, self._run, self._steps = bus, run, steps
        self._judged: dict[str, float] = {}

    def add(self, step: int, values: Mapping[str, object]) -> None:
        """Publish one step's row; what the last evaluation measured stays in it."""
        numbers = {key: float(str(value)) for key, value in values.items()}
        self._judged |= {key: numbers[key] for key in ("heldout_loss", "bits_per_byte") if key in numbers}
        event = TrainStep(
            run=self._run,
            step=step,
            steps=self._steps,
            loss=numbers["loss"],
            rate=numbers["rate"],
            gradient_norm=numbers["gradient_norm"],
            tokens=int(numbers["tokens"]),
            tokens_per_s=numbers["tokens_per_s"],
            mfu=numbers.get("mfu", 0.0),
            left_s=round(
                (self._steps - step) * numbers["tokens"] / step / max(1.0, numbers["tokens_per_s"]), 3
            ),
            **self._judged,
        )
        self._bus.publish("train.step", event)
        self._bus.poll(0.0)


class TensorBoardLog:
    """Scalars for TensorBoard; a resumed run hides the steps that it will repeat. Raises TrainingError."""

    def __init__(self, folder: Path, from_step: int) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise TrainingError("--tensorboard needs a package: pip install -e '.[pretrain]'.") from None
        self._writer = SummaryWriter(str(folder), purge_step=from_step + 1, flush_secs=10)

    def add(self, step: int, values: Mapping[str, object]) -> None:
        """One point in each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, float(str(value)), step)

    def close(self) -> None:
        """Write what is not written yet."""
        self._writer.close()
