"""The words of Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from elspeth.calls.config import ProviderConfig
from elspeth.calls.model import Chat, Usage
from elspeth.calls.wire.words import NoAnswer, Said, whole

VERSION = "2023-06-01"
MAX_TOKENS = 4096
"""This service wants to be told how long an answer may be; what holds where `parameters` has no `max_tokens`."""

_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "refusal": "content_filter",
            "model_context_window_exceeded": "length"}  # fmt: skip


def address(config: ProviderConfig, chat: Chat) -> str:
    """Where a question is sent."""
    base = config.base_url.rstrip("/").removesuffix("/v1")
    return f"{base}/v1/messages"


def headers(config: ProviderConfig) -> dict[str, str]:
    """What proves who asks, and the version of the service's words that is meant."""
    found = {"anthropic-version": config.api_version or VERSION}
    return {**found, "x-api-key": config.api_key} if config.api_key else found


def body(chat: Chat) -> dict[str, Any]:
    """The question as it is sent: the system's part stands apart here, and JSON is asked for in words."""
    system = [message.content for message in chat.messages if message.role == "system"]
    if chat.schema is not None:
        system.append(f"Answer with JSON alone that meets this JSON Schema: {orjson.dumps(chat.schema).decode()}")
    elif chat.json:
        system.append("Answer with JSON alone.")
    messages = [{"role": each.role, "content": each.content} for each in chat.messages if each.role != "system"]
    found: dict[str, Any] = {"model": chat.model, "max_tokens": MAX_TOKENS, "messages": messages, **chat.parameters}
    if system:
        found["system"] = "\n\n".join(system)
    return found


def said(answer: Mapping[str, Any]) -> Said:
    """What an answer says. Raises `NoAnswer` where it is none."""
    blocks = answer.get("content")
    reason = answer.get("stop_reason")
    if not isinstance(blocks, list):
        raise NoAnswer("no_choices", "the answer has no content")
    if not isinstance(reason, str) or not reason:
        raise NoAnswer("no_finish_reason", "the answer does not say why it ends, so it may not be whole")
    reason = _REASONS.get(reason, reason)
    texts = [block["text"] for block in blocks if isinstance(block, Mapping) and isinstance(block.get("text"), str)]
    if not texts and reason not in ("content_filter", "length"):
        raise NoAnswer("no_text", f"the answer has no text, and ends by {reason!r}")
    usage, model = answer.get("usage"), answer.get("model")
    counted = None
    if isinstance(usage, Mapping):
        cached = whole(usage.get("cache_creation_input_tokens")) + whole(usage.get("cache_read_input_tokens"))
        counted = Usage(whole(usage.get("input_tokens")) + cached, whole(usage.get("output_tokens")))
    return Said("".join(texts), reason, model if isinstance(model, str) else "", counted)
