"""The program's entry, also as `python -m voucher_ledger` where no console script is installed."""

import sys

from voucher_ledger import early_signals


def main() -> int:
    """Run the command line. Importing it takes a moment, in which a signal comes too."""
    odd = next((argument for argument in sys.argv[1:] if not _is_text(argument)), None)
    if odd is not None:
        print(f"error: an argument is not UTF-8: {odd!a}", file=sys.stderr)
        return 2  # as for every wrong argument
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
    if command != "run":  # what runs for long has its own, and whoever started it judges how it ends
        early_signals.guard()
    from voucher_ledger import cli

    if command != "replay":  # its verbs import more, and then have handlers of their own
        early_signals.release()
    return cli.main()


def _is_text(argument: str) -> bool:
    """Whether it was UTF-8: other bytes become lone surrogates, which nothing that is written or sent can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)


if __name__ == "__main__":
    sys.exit(main())
