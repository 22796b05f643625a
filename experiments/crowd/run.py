"""Votes to labels: `run.py groups | calibration | speed | loop`. See README.md."""

import sys

from xbayes.tasks.precision import in_precision

if __name__ == "__main__":
    part = sys.argv[1] if len(sys.argv) > 1 else "groups"
    with in_precision("float64"):
        if part == "groups":
            from groups import groups as study
        elif part == "calibration":
            from calibration import calibration as study
        elif part == "speed":
            from speed import speed as study
        elif part == "loop":
            from loop import loop as study
        else:
            raise SystemExit(__doc__)
        study(*map(int, sys.argv[2:]))
