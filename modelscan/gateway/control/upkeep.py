"""Keeps a running gateway in step with its files, keys, budgets and the health of its backends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.node import NodeState
from modelscan.gateway.control.events import EventName, Report, ServeEvent
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway, GatewayInputs, read, sentence, spent_budgets
from modelscan.gateway.control.prober import HealthChange, Prober
from modelscan.gateway.control.stream.log import EventLog, deployment_changes, route_changes
from modelscan.gateway.control.threads import in_database, in_thread
from modelscan.gateway.control.watch import TICK_S, KeyWatch, Watch
from modelscan.state.server.audit import owner_of, record_audit
from modelscan.state.server.failures import UNREACHABLE
from modelscan.state.server.keys import KeyStore
from modelscan.state.server.retention import prune

_SCORES_EVERY_S = 15.0
_BUDGETS_EVERY_S = 1.0
_TOGETHER_S = 0.05
_AWAY_S = 1.0
_PRUNE_EVERY_S = 600.0
_NODES_S, _EXCHANGE_S = 0.1, 0.4


class Upkeep:
    """The loops that change the gateway's state; ``publish`` sends the workers the new one."""

    def __init__(
        self,
        gateway: Gateway,
        watches: tuple[Watch, KeyWatch],
        report: Report,
        publish: Callable[[], None],
        log: EventLog,
        note_error: Callable[[str, BaseException], None],
    ) -> None:
        self._log = log
        self._gateway = gateway
        self._files, self._keys = watches
        self._report = report
        self._publish = publish
        self._note_error = note_error
        self._refused: tuple[str, ...] = ()
        self._scored = 0
        self._node_scores = 0
        self._compiled_s = 0.0
        self._nodes_fault: str | None = None
        self._changed = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._file_bytes = _content(gateway.config.routing_file)

    def loops(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run as tasks, by the names that reports of their errors have."""
        prober = Prober(self._gateway, self._health_changed, self._note_error)
        loops = {
            "probes of backends": prober.run,
            "watch of files": self._watch_files,
            "watch of keys": self._watch_keys,
            "budgets and scores": self._tidy,
            "changes of health": self._apply_health,
            "deletion of old records": self._prune,
        }
        if self._gateway.nodes is not None:
            loops |= {"silence of nodes": self._follow_nodes, "storing nodes": self._store_nodes}
        return loops

    def _health_changed(self, change: HealthChange) -> None:
        self._changed.set()
        if change.before is not change.after:
            self._report_backend(change)

    def _report_backend(self, change: HealthChange) -> None:
        state = change.after.value
        because = f": {change.reason}" if change.reason else ""
        quiet = change.before is HealthState.UNKNOWN and change.after is HealthState.UP
        if not quiet and change.after is not HealthState.HALF_OPEN:
            self._event(
                "backend", f"backend {change.backend} is {state}{because}",
                backend=change.backend, state=state, reason=change.reason,
            )  # fmt: skip

    async def _apply_health(self) -> None:
        """Make the table again after changes of health; several at once are one change.

        A large table is made less often: at most a tenth of the time is spent on it.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            await asyncio.sleep(max(_TOGETHER_S, 9 * self._compiled_s))
            self._changed.clear()
            began = loop.time()
            await self._gateway.compile_aside()
            self._publish()
            self._compiled_s = loop.time() - began

    async def _follow_nodes(self) -> None:
        """Silent nodes get no requests at once. It waits for nothing: neither for the database."""
        gateway, nodes = self._gateway, self._gateway.nodes
        assert nodes is not None
        states = {name: host.state for name, host in nodes.hosts.items()}
        version = nodes.version
        while True:
            await asyncio.sleep(_NODES_S)
            nodes.tick()
            if nodes.version != version:
                version = nodes.version
                gateway.silence()
                self._changed.set()
                states = self._report_nodes(states)

    async def _store_nodes(self) -> None:
        """Heartbeats are exchanged with the database."""
        while True:
            await asyncio.sleep(_EXCHANGE_S)
            await self._exchange_nodes()

    async def _exchange_nodes(self) -> None:
        nodes = self._gateway.nodes
        assert nodes is not None
        try:
            await nodes.exchange()
            await nodes.tidy()
        except ModelscanError as error:
            if self._nodes_fault != error.message:
                self._event("warning", f"nodes cannot be stored at the moment: {error.message}")
            self._nodes_fault = error.message
        else:
            self._nodes_fault = None

    def _report_nodes(self, before: dict[str, NodeState]) -> dict[str, NodeState]:
        nodes = self._gateway.nodes
        assert nodes is not None
        for name, host in nodes.hosts.items():
            if name in before and before[name] != host.state:
                silent = f": it has not reported for {nodes.silent_s(host):,.0f} s"
                text = f"node {name} is {host.state}" + (silent if host.state == "stale" else "")
                self._event("node", text, node=name, what=host.state)
        return {name: host.state for name, host in nodes.hosts.items()}

    async def _watch_files(self) -> None:
        """Read the files again when they change; where that fails, what was read stays in use."""
        gateway = self._gateway
        due = False
        while True:
            references = [one.api_key for one in gateway.loaded.file.routes if one.api_key]
            due |= await in_thread(self._files.changed, references)
            if due:
                due = not await self.reload()
            await asyncio.sleep(TICK_S)

    async def _watch_keys(self) -> None:
        """Read the keys again when they change. While the database is away, the last ones stay."""
        due = False
        while True:
            try:
                due |= await in_database(self._keys.changed)
            except ModelscanError as error:
                self._note_database(error.message)
                due = True
            else:
                self._note_database(None)
            if due and self._gateway.database_fault is None:
                due = not await self.reload()
            await asyncio.sleep(TICK_S if self._gateway.database_fault is None else _AWAY_S)

    def _note_database(self, fault: str | None) -> None:
        """Report when the database goes away, and when it is back."""
        before, self._gateway.database_fault = self._gateway.database_fault, fault
        if fault is not None and before is None:
            text = f"keys and limits stay as they are: {fault}"
            self._event("database", text, reachable=False, error=fault)
        elif fault is None and before is not None:
            self._event("database", "the database is back", reachable=True, error=None)

    async def reload(self) -> bool:
        """Read everything again; False where the database went away meanwhile."""
        gateway = self._gateway
        async with self._reloading:  # what was read first is taken over first
            kept = gateway.loaded if gateway.database_fault is not None else None
            try:
                before = gateway.loaded.file
                self._take(await in_database(read, gateway.config, gateway.database, kept))
                if gateway.loaded.file != before:
                    await in_database(self._record_file)
            except ModelscanError as error:
                self._event("warning", f"nothing was reloaded: {error.message}")
                return error.code != UNREACHABLE
        return True

    def _record_file(self) -> None:
        """Write into the log of changes that another routing file is in use."""
        file = self._gateway.config.routing_file
        before, self._file_bytes = self._file_bytes, _content(file)
        with self._gateway.database.writing() as connection:
            record_audit(
                connection, owner_of(file), "routing.reload", str(file),
                before=before, after=self._file_bytes,
            )  # fmt: skip

    def _take(self, loaded: GatewayInputs) -> None:
        gateway = self._gateway
        before = gateway.loaded
        valid = gateway.update(loaded)
        self._publish()
        self._log.note(
            *route_changes(before.file.routes, gateway.loaded.file.routes),
            *deployment_changes(before.deployments, gateway.loaded.deployments),
        )
        errors = tuple(sentence(one) for one in gateway.refused)
        if not valid and errors != self._refused:
            self._event(
                "invalid",
                f"{gateway.config.routing_file} is invalid, the last valid version stays in use: "
                f"{errors[0]} (modelscan route validate)",
                errors=list(errors),
            )
        elif valid and (self._refused or gateway.loaded.file != before.file):
            names, revision = len(gateway.table.routes), gateway.table.revision
            self._event(
                "reloaded", f"routing file reloaded: {names} names", routes=names, revision=revision
            )
        self._refused = errors
        self.warn_missing(before.missing)

    def warn_missing(self, before: tuple[str, ...]) -> None:
        """Report each entry whose key is missing and was not before."""
        for text in self._gateway.loaded.missing:
            if text not in before:
                self._event("warning", text)

    async def _tidy(self) -> None:
        """Apply used-up budgets every second, and measured speeds to the scores now and then."""
        scores_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_BUDGETS_EVERY_S)
            gateway = self._gateway
            await self._check_budgets()
            requests = gateway.runtime.requests.total()
            scored = 0 if gateway.nodes is None else gateway.nodes.scored
            known = (self._scored, self._node_scores)
            if loop.time() >= scores_at and (requests, scored) != known:
                scores_at = loop.time() + _SCORES_EVERY_S
                self._scored, self._node_scores = requests, scored
                await gateway.compile_aside()
                self._publish()

    async def _prune(self) -> None:
        """Delete what is too old. Receipts go when receipts are written."""
        gateway = self._gateway
        while True:
            with contextlib.suppress(ModelscanError):  # the next time is soon enough
                days = gateway.config.audit_keep_days
                await in_thread(prune, gateway.database, audit_keep_days=days)
            await asyncio.sleep(_PRUNE_EVERY_S)

    async def _check_budgets(self) -> None:
        """Refuse who used up its tokens, and allow it again in the next period."""
        gateway = self._gateway
        loaded = gateway.loaded
        if not loaded.file.budgets and not any(key.limits.budget_tokens for key in loaded.keys):
            return
        with contextlib.suppress(ModelscanError):
            keys = tuple(await in_database(KeyStore(gateway.database).list))
            spent = await in_database(spent_budgets, loaded.file, gateway.database)
            if gateway.loaded is not loaded:
                return  # the file or the keys changed meanwhile, and everything was read again
            gateway.loaded = replace(loaded, keys=keys, spent=spent)
            before = [key.spent_out for key in loaded.keys]
            if [key.spent_out for key in keys] != before or spent != loaded.spent:
                gateway.compile()
                self._publish()

    def _event(self, name: EventName, text: str, **values: Any) -> None:
        self._report(ServeEvent(name, text, values))


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
