"""One request at work: the answer passes on, a failure leads to another backend or an error."""

from __future__ import annotations

import time

from modelscan.gateway.data import loading, verdicts
from modelscan.gateway.data.answer import RelayedAnswer
from modelscan.gateway.data.dispatch import MAX_WAKES, Dispatch
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.tool_guard import header_line
from modelscan.gateway.data.upstream import SendFailure, Upstream

CLIENT_LEFT = 499
BROKEN_OFF = 599
SUSPECTED_S = 10.0
"""How long a request waits for the answer whether its backend fell asleep."""


def _is_stream(upstream: Upstream) -> bool:
    return upstream.status == 200 and upstream.content_type.startswith(b"text/event-stream")


class Exchange(Dispatch):
    """The sink of the backend's connection."""

    __slots__ = ()

    def answer_begins(self, upstream: Upstream) -> bool:
        if upstream.status >= 400 and not self._is_used(upstream):
            upstream.abort()
            self._attempt_over()
            self.failures.append(f"{self._name()}: status {upstream.status}")
            self.choose()
            return False
        self.first_at = time.perf_counter()
        if self.opened_at and not _is_stream(upstream):
            return self._refuse_opened(upstream)
        self.answer = self.outgoing.answer(upstream, self._extra(upstream), self.request.old)
        if self.plan.tail is not None:
            self.answer.tail = self.plan.tail()
        if self.opened_at:
            self.answer.continue_opened()
        if self.client.write_paused:
            upstream.transport.pause_reading()
        return True

    def _extra(self, upstream: Upstream | None = None) -> bytes:
        extra = self.request.facts.cors + self.request.id_line
        if self.plan.decisions:
            extra += header_line(self.plan.decisions)
        if not self.request.keep or (upstream is not None and upstream.uploading):
            extra += b"connection: close\r\n"
        return extra

    def _refuse_opened(self, upstream: Upstream) -> bool:
        """The stream was opened with comments, and the backend answers with something else."""
        upstream.abort()
        self._attempt_over()
        text = f"{self._name()} answered with status {upstream.status} and no event stream"
        self._refuse(RefusedError(Cause.UPSTREAM, text))
        return False

    def _is_used(self, upstream: Upstream) -> bool:
        """Whether an error answer goes to the client; else the next backend is tried."""
        assert self.attempt is not None
        verdicts.note_status(self.plan, self.attempt.backend, upstream, self.client.worker.now)
        following = self.attempts.peek()
        if following is None or not self.outgoing.repeatable:
            return True
        return not verdicts.moves_on(
            upstream.status, self.attempt.route, following.route, self._fallback
        )

    @property
    def _fallback(self) -> bool:
        return self.plan.state.snapshot.table.fallback

    def answer_continues(self, data: bytes) -> None:
        assert self.answer is not None
        out = self.answer.chunk(data)
        if not out:
            return
        if self.request.method == b"HEAD":
            self._end_head(out)
            return
        self.deadline = self.client.worker.now + self.client.worker.timing.gap_s
        self.client.write(out)

    def _end_head(self, out: bytes) -> None:
        """The answer to HEAD is complete with its head."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()
        head, _, _ = out.partition(b"\r\n\r\n")
        self.client.write(head + b"\r\n\r\n")
        self._finish(200)
        self.client.request_done(self.request)

    def answer_ends(self, data: bytes) -> None:
        answer = self.answer
        assert answer is not None
        self.upstream = None
        if not answer.committed and self._is_too_small(answer, data):
            self._attempt_over()
            self.failures.append(f"{self._name()}: the context is too small")
            self.answer = None
            self.choose()
            return
        uploading = self.upload is not None and not self.upload.complete
        out = answer.end(data, self.request.method != b"HEAD")
        if not self.plan.recorded and answer.status == 200 and not uploading:
            self._offer_again(answer, out)
        self.client.write(out)
        self._finish(answer.status)
        self.client.request_done(self.request, drain=uploading)

    def _offer_again(self, answer: RelayedAnswer, out: bytes) -> None:
        """Keep an answer of the control application for equal requests."""
        if answer.is_whole:
            worker = self.client.worker
            headers = answer.headers
            worker.reusable.offer(self.request, self.plan.key, headers, out, worker.now)

    def _is_too_small(self, answer: RelayedAnswer, data: bytes) -> bool:
        """Whether a backend with a larger context is the better answer to an error."""
        if not verdicts.is_about_size(answer.status) or not self.outgoing.repeatable:
            return False
        assert self.attempt is not None
        if self.attempts.peek() is None or not verdicts.exceeds_context(answer.held(data)):
            return False
        self.attempts.skip_smaller(self.attempt.backend.spec.context_tokens)
        return self.attempts.peek() is not None

    def failed(self, reason: str, failure: SendFailure) -> None:
        if self.over:
            return
        self.upstream = None
        attempt = self.attempt
        assert attempt is not None
        committed = self.answer is not None and self.answer.committed
        self._stop_upload()
        if failure is SendFailure.STALE and not self.tried_again and self.outgoing.repeatable:
            self.tried_again = True
            self._send(attempt, fresh=True)
            return
        self._attempt_over()
        self.failures.append(f"{self._name()}: {reason}")
        self.client.worker.count_failure(attempt.backend)
        if committed:
            self._break_off(reason)
        elif self._may_repeat(failure):
            self.answer = None
            self.choose()
        else:
            self._give_up(failure)

    def _may_repeat(self, failure: SendFailure) -> bool:
        following = self.attempts.peek()
        if following is None or not self.outgoing.repeatable:
            return False
        assert self.attempt is not None
        route = self.attempt.route
        return verdicts.may_repeat(failure, route, following.route, self._fallback)

    # Ends

    def _break_off(self, reason: str) -> None:
        """The status is out: only a broken ending is true."""
        self.error = reason
        if self.answer is not None:
            self.client.write(self.answer.broken_off(reason))
        self._finish(BROKEN_OFF)
        self.client.break_off(self.request.old)

    def _give_up(self, failure: SendFailure) -> None:
        if failure is SendFailure.NOT_SENT and self._may_be_asleep():
            assert self.attempt is not None
            self.wait_for(self.attempt.backend, SUSPECTED_S)
            return
        if self.refused_wake is not None and not self.attempts.made:
            self._refuse(self.refused_wake)
            return
        self._refuse(verdicts.final_refusal(failure, self.attempts, self.failures, self.plan))

    def _may_be_asleep(self) -> bool:
        """Whether the backend that does not listen may have fallen asleep a moment ago: the serving
        process looks."""
        attempt = self.attempt
        return (
            attempt is not None
            and attempt.backend.spec.deployment is not None
            and self.plan.recorded
            and not self.wakes
            and self.outgoing.repeatable
            and not self.client.worker.stopping
        )

    def _refuse(self, refusal: RefusedError) -> None:
        self.error = refusal.cause.code
        if self.opened_at:
            self._finish(BROKEN_OFF)
            self.client.write(loading.failure(refusal, self.request.path))
            self.client.request_done(self.request)
            return
        unread = self.upload is not None and not self.upload.complete
        self._finish(refusal.cause.status)
        self.client.answer_refusal(self.request, refusal, drain=unread)

    def cancel(self) -> None:
        """The client left: the backend stops working on it."""
        self._abort_upstream()
        self.error = "client_left"
        self._finish(CLIENT_LEFT)

    def time_out(self) -> None:
        """No progress until the deadline."""
        if self.waiting_at:
            self._leave_queues()
            text = f"no place became free within {self.plan.state.limits.queue_timeout_s:g} s"
            self._refuse(RefusedError(Cause.QUEUE_TIMEOUT, text, retry_after=1))
            return
        if self.waking_at is not None:
            self._wake_timed_out(self.waking_at.spec.name)
            return
        connecting = self.upstream is None
        self._abort_upstream()
        if connecting:
            self._attempt_over()
            self._give_up(SendFailure.SLOW)
        else:
            self.failed("no answer in time", SendFailure.SLOW)

    def _wake_timed_out(self, name: str) -> None:
        self.leave_wake()
        if self.attempts.made:  # it was only suspected to be asleep
            self.wakes = MAX_WAKES
            self._give_up(SendFailure.NOT_SENT)
            return
        limit_s = self.plan.state.limits.wake_timeout_s
        text = f"{name} did not become ready within {limit_s:g} s; it goes on loading"
        self._refuse(RefusedError(Cause.WAKE_TIMEOUT, text, retry_after=10))

    def refuse_upload(self, refusal: RefusedError) -> None:
        """The body is not acceptable after all."""
        self._abort_upstream()
        if self.answer is not None and self.answer.committed:
            self._break_off(refusal.message)
        else:
            self._refuse(refusal)

    def _abort_upstream(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()

    def pause(self) -> None:
        """The client does not read fast enough."""
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def resume(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.resume_reading()

    def keep_alive(self, now: float) -> None:
        """Send what resets a client's timer while its backend is silent, or loads its model."""
        if self.waking_at is not None:
            self._say_loading(now)
            return
        if self.answer is not None and not self.client.write_paused:
            silent_s = now - (self.deadline - self.client.worker.timing.gap_s)
            data = self.answer.keep_alive(now, silent_s)
            if data:
                self.client.write(data)

    def _say_loading(self, now: float) -> None:
        """A comment now and then; the first one comes after the head of the answer."""
        if self.client.write_paused or now < self.opened_at + loading.EVERY_S:
            return
        if self.opened_at:
            self.client.write(loading.chunk(loading.COMMENT))
        elif loading.may_open(self.request, self.plan):
            self.client.write(loading.opening(self._extra()) + loading.chunk(loading.COMMENT))
        else:
            return
        self.opened_at = now

    def _finish(self, status: int) -> None:
        if self.over:
            return
        self.over = True
        self.status = status
        if self.waiting_at:
            self._leave_queues()
        if self.waking_at is not None:
            self.leave_wake()
        if self.attempt is not None and self.sent_at:
            self.attempt.backend.note_duration(time.perf_counter() - self.sent_at)
            self._attempt_over()
        self.outgoing.close()
        self.plan.document = None
        self.client.worker.exchange_over(self)
