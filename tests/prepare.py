"""Before the tests: install the Debian packages that some of them use, where that can be done without asking.

Run as `python -m tests.prepare`. It never fails: what is missing makes tests skip with a reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Package → a file that it brings.
PACKAGES = {
    "chromium": "/usr/bin/chromium",
    "csh": "/usr/bin/bsd-csh",
    "fish": "/usr/bin/fish",
    "openssh-server": "/usr/sbin/sshd",
    "postgresql": "/usr/bin/pg_ctlcluster",
    "redis-server": "/usr/bin/redis-server",
    "tcsh": "/usr/bin/tcsh",
}
# What a package's service would make when it starts; tests start the program without its service.
FOLDERS = {"openssh-server": "/run/sshd"}


def main() -> None:
    missing = [name for name, path in PACKAGES.items() if not Path(path).exists()]
    if missing and can_install():
        install(missing)
        missing = [name for name in missing if not Path(PACKAGES[name]).exists()]
    if missing:
        print(f"some tests will be skipped; for them: apt-get install {' '.join(missing)}")
    if os.geteuid() == 0:
        for name, folder in FOLDERS.items():
            if name not in missing:
                Path(folder).mkdir(mode=0o755, exist_ok=True)


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> None:
    print(f"installing for the tests: {', '.join(packages)}")
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    # A package whose service starts by itself would leave a server running on this machine.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for attempt in (["apt-get", "update", "--quiet"], command):
        try:
            finished = subprocess.run(
                attempt,
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{' '.join(attempt)}: {error}", file=sys.stderr)
            return
        if finished.returncode != 0:
            print(f"{' '.join(attempt)} failed: {finished.stderr.strip()[-300:]}", file=sys.stderr)


if __name__ == "__main__":
    main()
