"""The processes around everything else: transports, health, metrics, the command line.

Before any module that imports `asyncio.wait_for` by name is loaded, cancellations are made safe (core/cancellation.py).
"""

from core.cancellation import keep_cancellations

keep_cancellations()
