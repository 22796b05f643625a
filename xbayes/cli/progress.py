"""Progress of long work on stderr: a bar on a terminal, plain lines otherwise."""

import sys
import time
from typing import Any


class Reporter:
    """Shows progress; called with the completed share and the step that begins."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.bar: Any = None
        self.task: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self.bar = Progress(
                BarColumn(),
                TextColumn("{task.percentage:3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.description}", markup=False),  # it may quote a service
                console=Console(stderr=True),
                transient=True,
            )
            self.task = self.bar.add_task("starting", total=1.0)

    def __enter__(self) -> "Reporter":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, share: float, step: str) -> None:
        """Show the completed `share`, from 0 to 1, and the `step` that begins."""
        if self.bar:
            self.bar.update(self.task, completed=share, description=step)
        else:
            elapsed = time.monotonic() - self.started
            print(f"{100 * share:3.0f}% {elapsed:6.1f} s  {step}", file=sys.stderr, flush=True)
