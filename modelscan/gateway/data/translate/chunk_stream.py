"""What the streams of all dialects share: the pieces of an answer, in the order they arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod

from modelscan.gateway.data.translate.chunks import AnswerMessage, CallPart, Chunk, ChunkUsage
from modelscan.gateway.data.translate.failure import UpstreamFailure


class ChunkStream(ABC):
    """Chunks of chat completions in, bytes of a dialect out; each method returns what to send.

    ``_reason`` is why the model server ended, ``_usage`` its count of tokens; None: not stated.
    """

    __slots__ = ("_reason", "_usage")

    def __init__(self) -> None:
        self._reason: str | None = None
        self._usage: ChunkUsage | None = None

    @property
    def finished(self) -> bool:
        """Whether the model server gave the reason of its end."""
        return self._reason is not None

    def add(self, chunk: Chunk) -> bytes:
        """The events of one chunk."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        sent = b""
        for choice in chunk.choices or ():
            self._reason = choice.finish_reason or self._reason
            sent += self._delta(choice.delta or AnswerMessage())
        return sent

    @abstractmethod
    def _delta(self, delta: AnswerMessage) -> bytes:
        """The events of what a chunk adds to the message."""

    @abstractmethod
    def start(self) -> bytes:
        """The events before the first chunk's."""

    @abstractmethod
    def keep_alive(self) -> bytes:
        """What resets the client's timer without a meaning."""

    @abstractmethod
    def end(self) -> bytes:
        """The last events of a complete stream."""

    @abstractmethod
    def fail(self, failure: UpstreamFailure) -> bytes:
        """The event that ends a broken stream."""


class SequentialStream(ChunkStream):
    """For dialects whose parts follow one another: text between the pieces of calls waits, in
    ``_late``, until the calls are complete.
    """

    __slots__ = ("_calling", "_late")

    def __init__(self) -> None:
        super().__init__()
        self._calling = False
        self._late = ""

    def _delta(self, delta: AnswerMessage) -> bytes:
        thought, text = delta.thought or "", delta.content or delta.refusal or ""
        sent = b""
        if self._calling:
            self._late += thought + text
        else:
            sent = self._thought(thought) + self._text(text)
        for part in delta.tool_calls or ():
            self._calling = True
            sent += self._call_part(part)
        return sent

    @abstractmethod
    def _thought(self, thought: str) -> bytes:
        """The events of a piece of reasoning; nothing for an empty one."""

    @abstractmethod
    def _text(self, text: str) -> bytes:
        """The events of a piece of text; nothing for an empty one."""

    @abstractmethod
    def _call_part(self, part: CallPart) -> bytes:
        """The events of a piece of a tool call."""
