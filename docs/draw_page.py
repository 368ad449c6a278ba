"""Draws docs/status-page.png: the page of a service that the demo's files went through. Needs Chromium."""

import re
import subprocess
import time
from pathlib import Path

from attachd.cli.demo_files import EARLY, FOLDER, LATE, drop
from attachd.cli.demo_stage import Service, stage
from attachd.simulator.server import Simulator

PICTURE = Path(__file__).parent / "status-page.png"
CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")


def main(width: int = 1000, height: int = 720) -> None:
    """Run the demo's service with a page, and take its picture when everything has come to rest."""
    with stage(keep=False) as directory, Simulator() as simulator:
        rules = directory / "rules.yaml"
        rules.write_text(rules.read_text().replace("# status: 127.0.0.1:8780", "status: 127.0.0.1:0"))
        drop((*EARLY, *LATE), directory / FOLDER)
        service = Service(directory, {"ION_URL": simulator.graphql_url, "ION_TOKEN": simulator.token})
        try:
            time.sleep(15)  # by then everything is attached, and a second scan has passed
            address = re.findall(r"page_ready +address=(\S+)", (directory / "attachd.log").read_text())[0]
            size = f"--window-size={width},{height}"
            subprocess.run(  # noqa: S603 - our own command, no shell
                [*CHROMIUM, size, f"--screenshot={PICTURE}", f"http://{address}/"], check=True
            )
        finally:
            service.stop()


if __name__ == "__main__":
    main()
