"""GraphQL requests as both vendors' sides take them: parsed, validated, named, executed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
    value_from_ast_untyped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A GraphQL request, and what it is about.

    Attributes:
        call: what it counts as in the record and in the fault script.
        fields: names of its root fields, in order.
        facts: the arguments of each root field, those of `input` and of `message` in it laid flat.
        errors: why it cannot be executed; empty where it can.
    """

    call: str
    fields: tuple[str, ...]
    facts: tuple[dict[str, Any], ...]
    errors: tuple[GraphQLError, ...]
    document: DocumentNode | None
    variables: dict[str, Any]
    operation: str | None


class Questions:
    """Reads and answers the requests that one schema allows.

    Args:
        root: root field to resolver.
        calls: root field to call; the first one that a request names counts, and `query` where none does.
    """

    def __init__(
        self, schema: GraphQLSchema, root: Mapping[str, Callable[..., Any]], calls: Mapping[str, str]
    ) -> None:
        self._schema = schema
        self._root = dict(root)
        self._calls = calls
        self._compiled = lru_cache(maxsize=256)(self._compile)

    def read(self, query: str, variables: dict[str, Any], operation: str | None) -> Question:
        """Parse and validate a request without executing it."""
        document, errors = self._compiled(query)
        chosen = get_operation_ast(document, operation) if document else None
        nodes = chosen.selection_set.selections if chosen else ()
        roots = [node for node in nodes if isinstance(node, FieldNode)]
        fields = tuple(node.name.value for node in roots)
        return Question(
            call=next((call for field, call in self._calls.items() if field in fields), "query"),
            fields=fields,
            facts=tuple(_arguments(node, variables) for node in roots),
            errors=errors,
            document=document,
            variables=variables,
            operation=operation,
        )

    def answer(self, question: Question, context: object) -> dict[str, Any]:
        """Execute a request and give the answer as JSON values."""
        if question.errors or question.document is None:
            return {"errors": [error.formatted for error in question.errors]}
        result = execute_sync(
            self._schema,
            question.document,
            root_value=self._root,
            context_value=context,
            variable_values=question.variables,
            operation_name=question.operation,
        )
        return dict(result.formatted)

    def _compile(self, query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
        try:
            document = parse(query)
        except GraphQLError as error:
            return None, (error,)
        return document, tuple(validate(self._schema, document))


def _arguments(node: FieldNode, variables: dict[str, Any]) -> dict[str, Any]:
    values = {each.name.value: value_from_ast_untyped(each.value, variables) for each in node.arguments or ()}
    return _flat(_flat(values, "input"), "message")


def _flat(values: dict[str, Any], name: str) -> dict[str, Any]:
    nested = values.get(name)
    if not isinstance(nested, dict):
        return values
    return {**{key: value for key, value in values.items() if key != name}, **nested}
