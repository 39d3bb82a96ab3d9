"""What calls to monitoring APIs cost, counted as they are made."""

import threading

from trimtab_service.rightsizing.ports import ReadCost


class Meter:
    """A running sum of `ReadCost`, shared by the threads of one source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = ReadCost()

    def add(self, cost: ReadCost) -> None:
        """Count a call that was sent, whether or not it was answered: the cloud counts it too."""
        with self._lock:
            self._total += cost

    def total(self) -> ReadCost:
        """Everything so far."""
        with self._lock:
            return self._total
