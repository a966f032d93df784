"""Run the command line as `python -m voucher_ledger`, for places where no console script is installed."""

import sys

from voucher_ledger.cli import main

if __name__ == "__main__":
    sys.exit(main())
