"""Write the table of the slowest tests into tests/README.md: `make slowest`."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- slowest: begin -->\n", "<!-- slowest: end -->\n"
MOST = 20


def slowest(report: Path) -> list[tuple[float, str]]:
    """Seconds, with set-up, and names of the slowest tests of a JUnit report."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    times = [(float(c.get("time", 0)), f"{c.get('classname')}::{c.get('name')}") for c in cases]
    return sorted(times, reverse=True)[:MOST]


def main(report: str) -> None:
    """Replace the table between the marks."""
    rows = [f"| {seconds:.0f} | `{name}` |" for seconds, name in slowest(Path(report))]
    table = "\n".join(["| seconds | test |", "|---|---|", *rows, ""])
    text = README.read_text()
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + "\n" + table + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
