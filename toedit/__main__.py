"""Command line to edit, score and compare text: ``toedit edit INPUT... --output DIR``."""

import argparse
import logging
import sys

from toedit import terminal
from toedit.commands import diff, edit, score
from toedit.commands.common import as_options
from toedit.errors import Parser, UserError, one_line_errors
from toedit.user_paths import require_text

COMMANDS = {
    "edit": (edit, "edit a corpus"),
    "score": (score, "perplexity of documents, histogram of token probabilities"),
    "diff": (diff, "what editing changed"),
}


SHELLS = ("bash", "zsh", "tcsh")


class Completion(argparse.Action):
    """Print the script by which a shell completes ``toedit``, and end."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Print it for the shell of that name."""
        import shtab

        print(shtab.complete(parser, values))
        parser.exit()


def parser() -> Parser:
    """Make the parser of the command line; imports no torch."""
    top = Parser(prog="toedit", description="Edit text with a language model (ToEdit).")
    what = "a script by which that shell completes this command"
    top.add_argument("--print-completion", action=Completion, choices=SHELLS, help=what)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, what) in COMMANDS.items():
        module.add(commands.add_parser(name, help=what, description=module.__doc__))
    return top


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``toedit`` and ``python -m toedit``."""
    words = sys.argv[1:] if argv is None else argv
    with one_line_errors():
        require_text(words)
        arguments = parser().parse_args(words)
        terminal.set_level(getattr(arguments, "level", terminal.NORMAL))
        if not logging.getLogger().handlers:
            logging.basicConfig(format="%(message)s", handlers=[terminal.Handler()])
        try:
            sys.exit(COMMANDS[arguments.command][0].run(arguments))
        except UserError as error:
            raise UserError(as_options(str(error)), error.path) from error


if __name__ == "__main__":
    main()
