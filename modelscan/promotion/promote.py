"""``registry promote`` and ``registry rollback``: which promotion a command begins or continues."""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from modelscan.bench.place import find_place
from modelscan.core.deployment_name import derive_name
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.promotion import effects
from modelscan.promotion.aliases import CHALLENGER, PREVIOUS, move_aliases
from modelscan.promotion.candidate import candidate_name, find_version
from modelscan.promotion.progress import found
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import (
    Promotion,
    PromotionOptions,
    PromotionShown,
    ServedBefore,
    shown,
)
from modelscan.registry.resolve import CHAMPION
from modelscan.registry.stored import find_model
from modelscan.routing.file import load
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.locks import hold

# Of an entry that a promotion makes; one that is in the file may have any name.
_ROUTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def promote(
    promoter: Promoter, reference: str, route: str, options: PromotionOptions,
    begun: Callable[[Promotion], None] = lambda _: None,
) -> PromotionShown:  # fmt: skip
    """Promote ``SLUG[@V|@ALIAS]`` to a route, or continue a promotion of it that was cut off.

    ``begun`` receives the promotion once it is recorded and nothing was refused.

    Raises UsageError for an unknown version, route or gate, ModelscanError (``locked``) where
    another command promotes to this route, and what the steps raise.
    """
    for gate in options.gates:
        effects.check_gate(gate)
    version = find_version(promoter.database, reference).version
    with route_lock(promoter.config, route):
        stop_due(promoter, route)
        wanted = Promotion(
            id=f"p-{secrets.token_hex(6)}",
            route=route,
            slug=version.slug,
            version=version.version,
            options=options,
            candidate=candidate_name(route, version),
            before=served_before(promoter, route),
            started_at=now_text(),
            updated_at=now_text(),
        )
        left = promoter.store.last(route, "running")
        serving = promoter.store.of_deployment(route, wanted.before.deployment)
        kind = found(left, wanted, serving)
        if kind == "served" and serving is not None:
            begun(serving)
            return shown(serving, changed=False)
        if left is not None:
            _check_left(left, kind, reference)
        else:
            promoter.store.begin(wanted)
        begun(left or wanted)
        return shown(promoter.run(left or wanted))


def _check_left(left: Promotion, kind: str, reference: str) -> None:
    """Raises UsageError where the promotion that was cut off is another one."""
    if kind == "continue":
        return
    what = "with other options" if kind == "other_options" else f"of {left.name}"
    step = left.steps[-1].step if left.steps else "check"
    raise UsageError(
        f"a promotion {what} to {left.route} was cut off at the step {step}",
        hint=f"modelscan registry rollback {left.route}   (then: modelscan registry promote "
        f"{reference} --route {left.route})",
        code="promotion_left",
        details={"promotion": left.id, "version": left.name, "step": step},
    )


def rollback(promoter: Promoter, route: str) -> PromotionShown:
    """Take back the promotion that was cut off, else the last one: the route leads to what it led
    to before, which is started where it was stopped.

    Raises UsageError where nothing was promoted to the route.
    """
    with route_lock(promoter.config, route):
        left = promoter.store.last(route, "running")
        if left is not None:
            switched = left.step("switch") is not None
            return shown(promoter.take_back(left, "rolled_back" if switched else "refused"))
        last = promoter.store.last(route, "promoted")
        if last is None:
            raise _nothing_promoted(promoter, route)
        _check_unchanged(promoter, last)
        return shown(_taken_back(promoter, last))


def _nothing_promoted(promoter: Promoter, route: str) -> UsageError:
    """The error of a rollback without a promotion to take back."""
    earlier = promoter.store.newest(1, route)
    version = earlier[0].name if earlier else "SLUG@V"
    what = f"the promotion of {version} to '{route}' was taken back already"
    return UsageError(
        what if earlier else f"nothing was promoted to '{route}'",
        hint=f"modelscan registry promote {version} --route {shlex.quote(route)}",
        code="nothing_promoted",
    )


def _check_unchanged(promoter: Promoter, last: Promotion) -> None:
    """Raises UsageError where the route was changed since."""
    now = served_before(promoter, last.route)
    if now.deployment != last.candidate:
        raise UsageError(
            f"'{last.route}' leads to {now.deployment or 'nothing'} now, not to {last.candidate}: "
            "it was changed since",
            hint=f"modelscan route show {last.route}",
            code="route_changed",
        )


def _taken_back(promoter: Promoter, last: Promotion) -> Promotion:
    """The way back of a finished promotion: first what was before runs, then the route moves."""
    old = last.before.deployment
    if old is not None:
        promoter.say(f"starting {old}")
        effects.require_running(promoter.deployments, old, last.options.timeout_s)
    row = effects.deployment_of(promoter.deployments, old)
    name = last.before.entry or last.route
    entry = None if row is None else effects.entry_of(promoter.deployments, row, name)
    promoter.edits(last).restore(entry)
    effects.set_route(promoter.deployments, last.candidate, None)
    if old is not None:
        effects.set_route(promoter.deployments, old, name)
    _aliases_swapped(promoter, last)
    ended = replace(last, state="rolled_back", updated_at=now_text(), retire_at=None)
    promoter.store.finish(ended)
    problem = effects.take_away(promoter.deployments, last.candidate, keep=True)
    if problem is not None:
        promoter.say(problem)
    return ended


def _aliases_swapped(promoter: Promoter, last: Promotion) -> None:
    """champion is what it was before, previous the version that is taken back.

    They stay where a promotion to another route made this or another version the champion since.
    """
    moved = last.step("aliases")
    before = dict((moved.data.get("before") if moved else None) or {})
    wanted = {CHAMPION: before.get(CHAMPION), PREVIOUS: last.version, CHALLENGER: None}
    elsewhere = any(one.route != last.route for one in promoter.store.promoted(last))
    with promoter.database.writing() as connection:
        champion = find_model(connection, last.slug).aliases.get(CHAMPION)
        if champion == last.version and not elsewhere:
            move_aliases(connection, promoter.who, last.slug, wanted)


def served_before(promoter: Promoter, route: str) -> ServedBefore:
    """What a route leads to now. Raises UsageError for one that cannot be promoted to."""
    config = promoter.config
    file = load(config.routing_file)
    entry = file.route(route)
    if entry is None and file.role(route) is not None:
        return _role(promoter, route)
    if entry is None:
        _check_new(promoter, route)
        return ServedBefore("new")
    if entry.deployment is None:
        raise UsageError(
            f"the entry '{route}' of the routing file belongs to no deployment, so that nothing "
            "here can be put in its place",
            hint=f"modelscan route role add NAME --provider {route}   (and promote to the role)",
            code="not_a_deployment",
        )
    return _served(promoter, route, "entry", route, entry.deployment)


def _role(promoter: Promoter, route: str) -> ServedBefore:
    try:
        place = find_place(route, None, promoter.config)
    except ModelscanError:
        return ServedBefore("role")
    name = place.deployment.name if place.deployment else None
    return _served(promoter, route, "role", place.service, name)


def _served(
    promoter: Promoter, route: str, kind: str, entry: str | None, deployment: str | None
) -> ServedBefore:
    promotion = promoter.store.of_deployment(route, deployment)
    version = promotion.name if promotion is not None else None
    return ServedBefore(kind, entry, deployment, version)  # type: ignore[arg-type]


def _check_new(promoter: Promoter, route: str) -> None:
    """Raises UsageError for what is no name, and for a deployment without a route."""
    if _ROUTE.fullmatch(route) is None:
        raise UsageError(
            f"'{route}' is no name for a route: letters, digits, '.', '_', '-', ':' and '/', at "
            "most 128, starting with a letter or a digit",
            hint=f"--route {derive_name(route)}",
            code="bad_name",
        )
    if effects.deployment_of(promoter.deployments, route) is not None:
        raise UsageError(
            f"the deployment {route} has no entry in the routing file",
            hint=f"modelscan registry promote SLUG@V --route ANOTHER_NAME   (or: modelscan remove "
            f"{route})",
            code="no_route",
        )


def stop_due(promoter: Promoter, route: str) -> tuple[str, ...]:
    """Stop what a route served before, where ``--keep-previous`` is over; the caller holds the
    route's lock. Returns the names.
    """
    stopped = []
    for one in promoter.store.due(promoter.clock()):
        if one.route != route:
            continue
        old = one.before.deployment
        if old is not None and served_before(promoter, route).deployment != old:
            effects.take_away(promoter.deployments, old, keep=True)
            stopped.append(old)
        promoter.store.save(replace(one, retire_at=None))
    return tuple(stopped)


def retire_due(promoter: Promoter) -> tuple[str, ...]:
    """``stop_due`` of every route that no command changes at the moment."""
    stopped: list[str] = []
    for route in sorted({one.route for one in promoter.store.due(promoter.clock())}):
        with suppress(ModelscanError), route_lock(promoter.config, route):
            stopped += stop_due(promoter, route)
    return tuple(stopped)


@contextmanager
def route_lock(config: Config, route: str) -> Iterator[None]:
    """Only one command at a time promotes to a route."""
    name = hashlib.sha256(route.encode()).hexdigest()[:16]
    lock = config.paths.locks_dir / f"promote-{name}.lock"
    with hold(lock, timeout_s=0.0, what=f"the route {route}"):
        yield
