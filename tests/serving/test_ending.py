import signal
import threading
from pathlib import Path

from serving.ending import Ending, ending_by_order
from tests.forks import forked

SIGNAL_COUNT = 5_000
PATIENCE_S = 120


def storm(answer: Path) -> None:
    """Be told to end at any moment of waiting, over and over."""
    endings = [Ending()]
    told = 0

    def tell(*_: object) -> None:
        nonlocal told
        told += 1
        endings[0].set()

    signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    while told < SIGNAL_COUNT:
        endings[0] = Ending()
        while not endings[0].wait(1e-6):
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    answer.write_text(str(told))


def test_a_signal_sets_it_at_any_moment_of_a_wait(tmp_path: Path) -> None:
    """In a process of its own: a handler that waits for the thread that it interrupts never comes back."""
    process = forked([], storm, tmp_path / "told")
    process.join(PATIENCE_S)
    try:
        assert process.exitcode == 0
        assert int((tmp_path / "told").read_text()) >= SIGNAL_COUNT
    finally:
        process.kill()


def test_it_ends_all_waits_now_and_later() -> None:
    ending, ended = Ending(), []
    assert not ending.is_set()
    assert not ending.wait(0.001)
    threads = [threading.Thread(target=lambda: ended.append(ending.wait())) for _ in range(3)]
    for thread in threads:
        thread.start()
    ending.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert ended == [True] * 3
    assert ending.is_set()
    assert ending.wait()


def test_both_signals_to_end_set_it() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            ending = ending_by_order(stop_when_stdin_closes=False)
            signal.raise_signal(number)
            assert ending.wait(PATIENCE_S)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
