"""`python -m pplkit` is the command `pplkit`."""

import sys

from pplkit.cli import main

sys.exit(main())
