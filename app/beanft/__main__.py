"""``python -m beanft``."""

import sys

from beanft.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
