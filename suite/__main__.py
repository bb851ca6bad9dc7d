"""``python -m suite``: the same door as ``sourcebench``, for torchrun."""

from suite.cli import main

raise SystemExit(main())
