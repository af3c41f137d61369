"""The worker's public face."""

from app.worker.supervisor import EMBEDDED_NICENESS, Worker
from app.worker.watching import Patience

__all__ = ["EMBEDDED_NICENESS", "Patience", "Worker"]
