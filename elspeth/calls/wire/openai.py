"""The words of OpenAI's chat completions, which many servers speak, and of Azure's edition of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from elspeth.calls.config import ProviderConfig
from elspeth.calls.model import Chat, Usage
from elspeth.calls.wire.words import NoAnswer, Said, whole


def address(config: ProviderConfig, chat: Chat) -> str:
    """Where a question is sent."""
    base = config.base_url.rstrip("/")
    if config.kind != "azure":
        return f"{base}/chat/completions"
    deployment = quote(config.deployment or chat.model, safe="")
    version = quote(config.api_version, safe="")
    return f"{base}/openai/deployments/{deployment}/chat/completions?api-version={version}"


def headers(config: ProviderConfig) -> dict[str, str]:
    """What proves who asks. Servers on this machine often want no key."""
    if not config.api_key:
        return {}
    return {"api-key": config.api_key} if config.kind == "azure" else {"authorization": f"Bearer {config.api_key}"}


def body(chat: Chat) -> dict[str, Any]:
    """The question as it is sent."""
    messages = [{"role": message.role, "content": message.content} for message in chat.messages]
    found: dict[str, Any] = {"model": chat.model, "messages": messages, **chat.parameters, "stream": False}
    if chat.schema is not None:
        wanted: dict[str, Any] = {"name": "answer", "schema": chat.schema}
        if _is_strict(chat.schema):
            wanted["strict"] = True
        found["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif chat.json:
        found["response_format"] = {"type": "json_object"}
    return found


def said(answer: Mapping[str, Any]) -> Said:
    """What an answer says. Raises `NoAnswer` where it is none."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise NoAnswer("no_choices", "the answer has no choices")
    choice = choices[0]
    reason = choice.get("finish_reason")
    if not isinstance(reason, str) or not reason:
        raise NoAnswer("no_finish_reason", "the answer does not say why it ends, so it may not be whole")
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    text = message.get("content")
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        reason, text = "content_filter", message["refusal"]
    if not isinstance(text, str):
        if reason not in ("content_filter", "length"):
            raise NoAnswer("no_text", f"the answer has no text, and ends by {reason!r}")
        text = ""
    model = answer.get("model")
    return Said(text, reason, model if isinstance(model, str) else "", _usage(answer.get("usage")))


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, Mapping):
        return None
    return Usage(whole(value.get("prompt_tokens")), whole(value.get("completion_tokens")))


def _is_strict(schema: Any) -> bool:
    """Whether a schema keeps to what the service demands of one that it is to enforce; others are a hint to it."""
    if isinstance(schema, list):
        return all(_is_strict(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        if not isinstance(properties, Mapping) or schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(properties):
            return False
        if not all(_is_strict(part) for part in properties.values()):
            return False
    return all(
        _is_strict(part) for key, part in schema.items() if key not in ("properties", "enum", "const", "default")
    )
