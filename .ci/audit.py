"""Ask for known vulnerabilities of every pinned package; say plainly which could not be asked for.

``python .ci/audit.py PIP_AUDIT`` runs that program on constraints.txt. Exit status 1 if a package
is vulnerable; 0 if none is known to be, or if the service cannot be reached, which is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def ask(program: str) -> list[dict[str, Any]]:
    """Answer for each package: ``vulns``, or ``skip_reason``; none if nothing was answered."""
    command = [program, "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return []
    return found


def report(found: list[dict[str, Any]]) -> tuple[str, int]:
    """What to say of the answers, and the exit status."""
    asked = [each for each in found if "skip_reason" not in each]
    skipped = [each["name"] for each in found if "skip_reason" in each]
    bad = [each for each in asked if each["vulns"]]
    lines = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for each in bad
        for vulnerability in each["vulns"]
    ]
    if not asked:
        lines.append("NOT audited: the advisory service cannot be reached from here")
    else:
        lines.append(f"audited {len(asked)} packages: {len(bad)} with known vulnerabilities")
        if skipped:
            lines.append(f"NOT audited, unknown to the service: {', '.join(skipped)}")
    return "\n".join(lines), int(bool(bad))


if __name__ == "__main__":
    said, status = report(ask(sys.argv[1]))
    print(said)
    sys.exit(status)
