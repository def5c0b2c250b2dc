"""HTTP: one client with a sync and an async interface over one pure core.

``address``, ``exchange``, ``conditional`` and ``errors`` decide what to send and what a response
means; ``client`` and ``async_client`` send it through a transport (``httpx_transport``, or
``local`` for servers on this machine, without httpx).
"""
