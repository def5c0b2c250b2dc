"""Decides a request of the role ``auto`` by the rules of the routing table. Pure.

The gateway's data path calls ``decide`` with a body's undecoded values; ``routing.automatic_rules``
compiles the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from modelscan.routing.table import AutomaticRule

Body = Mapping[str, msgspec.Raw]
_WORD = re.compile(r"\w+")
_IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})


class RequestFacts(NamedTuple):
    """What the rules look at; ``last`` is the last message in lower case, words between spaces."""

    characters: int
    last: str
    tools: bool
    images: bool


class _Part(msgspec.Struct):
    type: object = None
    text: object = None


class _Message(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")
    role: object = None


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_parts = msgspec.json.Decoder(list[_Part]).decode
_decode_text = msgspec.json.Decoder(str).decode


def decide(rules: Sequence[AutomaticRule], body: Body) -> AutomaticRule | None:
    """The first rule that holds for a request; None: there is none."""
    if not rules:
        return None
    request = read_request(body)
    return next((rule for rule in rules if _holds(rule, request)), None)


def read_request(body: Body) -> RequestFacts:
    """The facts of a request. A body of another form has no text."""
    texts: list[str] = []
    images = False
    for content in _contents(body):
        text, with_image = _text_of(content)
        texts.append(text)
        images = images or with_image
    tools = bytes(body.get("tools", b"null")).strip() not in (b"null", b"[]", b"")
    last = plain_words(texts[-1]) if texts else ""
    return RequestFacts(sum(map(len, texts)), f" {last} ", tools, images)


def plain_words(text: str) -> str:
    """The words of a text in lower case, one space between them."""
    return " ".join(_WORD.findall(text.lower()))


def _contents(body: Body) -> Iterator[msgspec.Raw]:
    """The contents of all messages, whatever the dialect."""
    for key in ("system", "instructions", "prompt"):
        if key in body:
            yield body[key]
    for key in ("messages", "input"):
        if key in body:
            try:
                yield from (message.content for message in _decode_messages(body[key]))
            except msgspec.DecodeError:
                yield body[key]


def _text_of(content: msgspec.Raw) -> tuple[str, bool]:
    """The text of a content, and whether it has an image."""
    try:
        return _decode_text(content), False
    except msgspec.DecodeError:
        pass
    try:
        parts = _decode_parts(content)
    except msgspec.DecodeError:
        return "", False
    texts = [part.text for part in parts if isinstance(part.text, str)]
    return "\n".join(texts), any(part.type in _IMAGE_PARTS for part in parts)


def _holds(rule: AutomaticRule, request: RequestFacts) -> bool:
    if rule.tools is not None and rule.tools != request.tools:
        return False
    if rule.images is not None and rule.images != request.images:
        return False
    if rule.min_characters is not None and request.characters < rule.min_characters:
        return False
    if rule.max_characters is not None and request.characters > rule.max_characters:
        return False
    return not rule.keywords or any(f" {word} " in request.last for word in rule.keywords)
