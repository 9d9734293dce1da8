"""Gives every init every case, and prints who passes what.

Usage: table.py AMIKAD     (scripts/bench-init installs the others)
Ends with 1 when another init passes a case that amikad does not.
"""

import os
import sys
import tempfile

from inits import Init
from suite import CASES


def holds(function, init):
    """Whether a case held; one that broke did not."""
    with tempfile.TemporaryDirectory(prefix="amika-init-") as directory:
        os.chmod(directory, 0o777)
        try:
            return bool(function(init, directory))
        except Exception as error:  # a case that breaks is a case that does not hold
            print(f"{init.name}: {function.__name__}: {error!r}", file=sys.stderr)
            return False


def main():
    """Prints the table."""
    inits = [
        Init("tini", ["tini", "-s", "--"]),
        Init("dumb-init", ["dumb-init", "--"]),
        Init("catatonit", ["catatonit", "--"]),
        Init("amikad", [sys.argv[1], "run", "--user", "0", "--"], is_ours=True),
    ]
    only = sys.argv[2:]
    print("| what must hold | " + " | ".join(init.name for init in inits) + " |")
    print("|---|" + "---|" * len(inits))
    behind, ahead = [], []
    for what, function in CASES:
        if only and function.__name__ not in only:
            continue
        results = [holds(function, init) for init in inits]
        print(f"| {what} | " + " | ".join("yes" if result else "**no**" for result in results) + " |", flush=True)
        others = any(result for result, init in zip(results, inits) if not init.is_ours)
        ours = results[-1]
        if others and not ours:
            behind.append(what)
        if not others:
            ahead.append(what + ("" if ours else " (amikad neither)"))
    print("\nNone of the others passes:" + "".join(f"\n- {row}" for row in ahead))
    if behind:
        sys.exit("another init passes what amikad does not:\n" + "\n".join(f"- {row}" for row in behind))


main()
