"""attachd with less patience for a share, so that a test can wait it out. Arguments as for `attachd`."""

import sys

from attachd.cli.main import main
from attachd.folders import shares

shares.SHARES.silence = 3.0
shares.IN_DOUBT = 1.0
shares.FIRST_PAUSE = 0.5
shares.LONGEST_PAUSE = 2.0

if __name__ == "__main__":
    sys.exit(main())
