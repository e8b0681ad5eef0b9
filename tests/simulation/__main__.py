"""Run seeds by hand: `python -m tests.simulation 17` or `python -m tests.simulation 0-99 [commands]`."""

import sys
import time
from collections import Counter

from tests.simulation.seeds import COMMANDS, simulate

if __name__ == "__main__":
    first, _, last = sys.argv[1].partition("-")
    commands = int(sys.argv[2]) if len(sys.argv) > 2 else COMMANDS
    total: Counter[str] = Counter()
    for seed in range(int(first), int(last or first) + 1):
        began = time.process_time()
        outcome = simulate(seed, commands)
        total += outcome.counts
        seconds, asked = time.process_time() - began, outcome.counts["asked"]
        sys.stdout.write(f"seed {seed}: {seconds:.2f} s, {asked} asked, {outcome.fingerprint[:12]}\n")
    sys.stdout.writelines(f"{name:36} {count}\n" for name, count in sorted(total.items()))
