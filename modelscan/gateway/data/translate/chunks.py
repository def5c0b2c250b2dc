"""The answer of chat completions, typed: whole, and as a stream of events."""

from __future__ import annotations

import msgspec

NULL = msgspec.Raw(b"null")  # msgspec has no union of Raw and None


def given(value: msgspec.Raw) -> bool:
    """Whether a field has a value other than null."""
    return bytes(value) != b"null"


class FunctionPart(msgspec.Struct):
    """The name and a piece of the arguments (JSON text) of a call."""

    name: str | None = None
    arguments: str | None = None


class CallPart(msgspec.Struct):
    """A piece of a tool call; pieces of several calls may be interleaved by ``index``."""

    index: int = 0
    id: str | None = None
    function: FunctionPart = msgspec.field(default_factory=FunctionPart)


class AnswerMessage(msgspec.Struct):
    """A message, or the part of one that a chunk adds. Reasoning has two names in the field."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallPart] | None = None
    refusal: str | None = None

    @property
    def thought(self) -> str | None:
        return self.reasoning_content or self.reasoning


class AnswerChoice(msgspec.Struct):
    """One choice of an answer: ``delta`` in a stream, ``message`` in a whole one."""

    delta: AnswerMessage | None = None
    message: AnswerMessage | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct):
    """Of the prompt's tokens, those that the engine had in its cache."""

    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """Of the answer's tokens, those of its reasoning."""

    reasoning_tokens: int | None = None


class ChunkUsage(msgspec.Struct):
    """Tokens of an answer; ``prompt_tokens`` includes the cached ones."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def prompt(self) -> int:
        return self.prompt_tokens or 0

    @property
    def completion(self) -> int:
        return self.completion_tokens or 0

    @property
    def cached(self) -> int:
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    @property
    def reasoning(self) -> int:
        details = self.completion_tokens_details
        return (details and details.reasoning_tokens) or 0


class Chunk(msgspec.Struct):
    """A whole answer, or one event of a stream. ``error`` comes instead of choices."""

    choices: list[AnswerChoice] | None = None
    usage: ChunkUsage | None = None
    error: msgspec.Raw = NULL

    @property
    def whole(self) -> tuple[AnswerMessage, str | None]:
        """The message of an answer that was not streamed, and why it ended."""
        choice = self.choices[0] if self.choices else AnswerChoice()
        return choice.message or AnswerMessage(), choice.finish_reason

    @property
    def failed(self) -> bool:
        return not self.choices and given(self.error)


def without_thought(chunk: Chunk) -> None:
    """Remove the model's reasoning, where a route's policy says so."""
    for choice in chunk.choices or ():
        for part in (choice.delta, choice.message):
            if part is not None:
                part.reasoning = part.reasoning_content = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
DONE = b"[DONE]"


class EventLines:
    """The ``data`` of server-sent events out of bytes that arrive in any pieces.

    An event's data lines are joined by a newline, as the format says; comments, ``event``, ``id``
    and ``retry`` lines are skipped. ``limit`` bounds the bytes of one event.
    """

    __slots__ = ("_data", "_limit", "_rest")

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._limit = limit

    def feed(self, received: bytes) -> list[bytes]:
        """The data of every event that ended in these bytes. Raises ValueError beyond the limit."""
        lines = (self._rest + received).split(b"\n")
        self._rest = lines.pop()
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        if len(self._rest) + sum(map(len, self._data)) > self._limit:
            raise ValueError(f"an event of the stream has more than {self._limit} bytes")
        return events

    def close(self) -> list[bytes]:
        """The data of a last event that no empty line ended: some servers leave it out."""
        line = self._rest.removesuffix(b"\r")
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        events = [b"\n".join(self._data)] if self._data else []
        self._rest, self._data = b"", []
        return events
