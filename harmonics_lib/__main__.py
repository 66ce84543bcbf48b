"""``python -m harmonics_lib``: see ``harmonics_lib.command``."""

import sys

from harmonics_lib.command.main import main

if __name__ == "__main__":
    sys.exit(main())
