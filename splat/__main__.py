"""`python -m splat` is the command `splat`."""

import sys

from splat.cli.main import main

sys.exit(main())
