"""Tool calls of conversations in the form that chat templates expect."""

import json
from typing import Any

from toedit.corpora.conversations import CALLS, TOOL, spoken


def uses_tools(messages: list[dict[str, Any]]) -> bool:
    """Whether a conversation calls a tool, or holds the answer of one."""
    return any(m["role"] == TOOL or set(CALLS) & m.keys() for m in messages)


def for_template(message: dict[str, Any], template: str) -> dict[str, Any]:
    """A message as chat templates expect it: a text as content, arguments of calls as objects.

    A template that does not read tool calls gets them in the content, as ``<tool_call>`` elements.
    """
    if message.keys() == {"role", "content"} and isinstance(message["content"], str):
        return message
    content = "".join(spoken(message["content"]))
    shaped = {k: v for k, v in message.items() if k not in CALLS} | {"content": content}
    found = parsed(message.get("tool_calls") or [])
    if message.get("function_call"):  # the older form of a single call
        found = [*found, {"type": "function", "function": message["function_call"]}]
    if not isinstance(found, list):
        raise TypeError("tool_calls must be a list")
    calls = [_with_objects(call) for call in found]
    if calls and "tool_calls" in template:
        shaped["tool_calls"] = calls
    elif calls:
        texts = [json.dumps(call.get("function", call), ensure_ascii=False) for call in calls]
        elements = [f"<tool_call>\n{text}\n</tool_call>" for text in texts]
        shaped["content"] = "\n".join([*([content] if content else []), *elements])
    return shaped


def _with_objects(call: Any) -> dict[str, Any]:
    """A tool call whose function and arguments are objects, also where they came as JSON texts."""
    call = parsed(call)
    if not isinstance(call, dict):
        raise TypeError(f"a tool call must be an object, not {type(call).__name__}")
    if call.get("function") is not None:
        return {**call, "function": _with_objects(call["function"])}
    arguments = parsed(call.get("arguments"))
    return {**call, "arguments": arguments} if isinstance(arguments, dict) else call


def parsed(value: Any) -> Any:
    """The object of a JSON text; any other value as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
