"""A run on the cluster as a person follows it on the terminal."""

from rich.console import Console
from rich.status import Status

from pipelines.kubeflow.client.follow import ENDED, SUCCEEDED, Outcome


class RunProgress:
    """A line for each node that has ended, and a moving one for those at work where a person is looking."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()
        self._status: Status | None = None

    def __call__(self, outcome: Outcome) -> None:
        self.stop()
        for node in outcome.nodes:
            # A node that was never begun ends with its run.
            if node.name in self._told or not (node.state in ENDED or outcome.ended):
                continue
            self._told.add(node.name)
            took = f"{node.seconds:8.0f} s" if node.seconds is not None else ""
            state = node.state.lower() if node.state in ENDED else "not run"
            self._console.print(
                f"{len(self._told):>3}/{len(outcome.nodes)} {node.name:<22} {state:<10}{took}".rstrip(),
                style="" if node.state == SUCCEEDED else "yellow",
                markup=False,
            )
        if not outcome.ended and self._console.is_terminal:
            running = ", ".join(node.name for node in outcome.nodes if node.state == "RUNNING")
            self._status = self._console.status(f"{running or outcome.state.lower()} …")
            self._status.start()

    def stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
