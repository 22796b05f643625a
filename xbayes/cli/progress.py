"""Progress of long work: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from typing import Any


class Reporter:
    """Called with the share done and what is being done."""

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
                TextColumn("{task.description}"),
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

    def __call__(self, share: float, what: str) -> None:
        """Show that `share` (0 to 1) is done and `what` begins."""
        if self.bar:
            self.bar.update(self.task, completed=share, description=what)
        else:
            elapsed = time.monotonic() - self.started
            print(f"{100 * share:3.0f}% {elapsed:6.1f} s  {what}", file=sys.stderr, flush=True)
