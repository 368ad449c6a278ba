"""`attachd schema`: the JSON Schema of rules.yaml, for editors."""

import click

from attachd.cli.output import write_json
from attachd.config.schema import schema


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of rules.yaml.

    An editor with a YAML language server checks rules.yaml while it is written when its first line is
    `# yaml-language-server: $schema=rules.schema.json`.
    """
    write_json(schema())
    return 0
