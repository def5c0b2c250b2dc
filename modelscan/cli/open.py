"""``modelscan open``: the pages in a browser, with the key that lets them change things."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import Context
from modelscan.cli.framework import single
from modelscan.cli.serve import DRAIN_S, reporter

if TYPE_CHECKING:
    from modelscan.gateway.control.events import Report, ServeEvent
    from modelscan.state.config import Config


def open_pages(
    context: Context,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port (default: 8900; 0: any free one)."),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the link and start no browser.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="A link without the key of changes.")
    ] = False,
) -> int:
    """Open the pages: of the gateway that runs on this machine, else of one that is started."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan open")
    wanted = context.config.serve_port if port is None else port
    running = None if wanted == 0 else _link(context.config, wanted, read_only)
    if running is not None:
        _show(context, running, no_browser)
        return 0
    from modelscan.gateway.control.listening import ServeOptions
    from modelscan.gateway.control.serving import serve
    from modelscan.web.mount import pages

    options = ServeOptions(port=wanted, drain_s=DRAIN_S)
    with reporter(context) as report:
        told = _opening(context, report, no_browser, read_only)
        serve(context.config, options, told, mounts=[pages(context.workspace)])
    return 0


def _opening(context: Context, report: Report, no_browser: bool, read_only: bool) -> Report:
    """Reports events; once the gateway is ready, its pages are opened."""

    def told(event: ServeEvent) -> None:
        report(event)
        if event.name == "ready":
            port = int(event.values["url"].rpartition(":")[2])
            link = _address(context.config, event.values["url"], port, read_only)
            # A browser in the terminal would hold up the gateway that it waits for.
            args = (context, link, no_browser)
            threading.Thread(target=_show, args=args, daemon=True).start()

    return told


def _link(config: Config, port: int, read_only: bool) -> str | None:
    """The address of the gateway that runs on a port of this machine; None: there is none."""
    from modelscan.gateway.top.look import gateway_look

    url = f"http://127.0.0.1:{port}"
    look = gateway_look(url, None)
    return None if look.page is None else _address(config, url, port, read_only)


def _address(config: Config, url: str, port: int, read_only: bool) -> str:
    from modelscan.gateway.control.page_key import stored_page_key

    key = None if read_only else stored_page_key(config, port)
    return f"{url}/" if key is None else f"{url}/#key={key}"


def _show(context: Context, link: str, no_browser: bool) -> None:
    """Start the browser; without one, print the link.

    The browser is given a file of this user that leads to the link: its arguments can be read by
    everyone on this machine.
    """
    import webbrowser

    from modelscan.state.files import write_atomic

    if not no_browser:
        file = context.config.paths.state / "open.html"
        write_atomic(file, _LEADS.format(link=link))
        if webbrowser.open(file.as_uri()):
            return
    context.output.line(link)


_LEADS = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>modelscan</title>'
    '<meta http-equiv="refresh" content="0;url={link}"><p><a href="{link}">modelscan</a></p>\n'
)

app = single(open_pages, name="open")
