"""Publishes a packaged model on the Hub, its corpus and the page that shows it, each in one commit.

    char-lstm publish --model modeling/pretrained/alice --repo_id USER/alice-char-lstm --tag v1 --dry_run
    char-lstm publish --model modeling/pretrained/alice --repo_id USER/alice-char-lstm --tag v1 \\
        --dataset data/alice --dataset_repo_id USER/alice --static_space_id USER/alice-writes --collection Alice

The token comes from `hf auth login` or HF_TOKEN. Everything is assembled and tried out locally before the first byte
is sent. Running the same command again sends only what is missing, so after an interruption just run it again.

Exit status: 0 done; 1 the Hub or the connection failed, so try again later; 2 something has to be fixed first.
"""

from ..arguments import parse
from ..hub.arguments import PublishArguments


def main(argv: list[str]) -> None:
    arguments = parse(PublishArguments, __doc__, argv)

    from ..hub.publish import publish

    publish(arguments)
