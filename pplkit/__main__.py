"""`python -m pplkit` is the command `pplkit`."""

import sys

from pplkit.cli.main import main

sys.exit(main())
