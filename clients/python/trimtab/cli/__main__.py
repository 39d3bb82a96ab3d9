"""`python -m trimtab.cli`."""

import sys

from trimtab.cli.main import main

sys.exit(main())
