"""Run seeds by hand: `python -m tests.simulation 17` or `python -m tests.simulation 0-99 [commands]`."""

import sys
import time
from collections import Counter

from tests.simulation.seeds import simulate

if __name__ == "__main__":
    first, _, last = sys.argv[1].partition("-")
    commands = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    total: Counter[str] = Counter()
    for seed in range(int(first), int(last or first) + 1):
        began = time.process_time()
        outcome = simulate(seed, commands)
        total += outcome.counts
        print(f"seed {seed}: {time.process_time() - began:.2f} s, {outcome.counts['asked']} asked, {outcome.fingerprint[:12]}")  # noqa: T201
    for name, count in sorted(total.items()):
        print(f"{name:36} {count}")  # noqa: T201
