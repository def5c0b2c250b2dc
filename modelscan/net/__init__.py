"""HTTP: one client with a sync and an async face over one pure core.

``address``, ``exchange``, ``conditional`` and ``errors`` decide what to send and what a response
means; ``client`` and ``async_client`` carry it out through a transport (``httpx_transport``, or
``local`` for servers of this machine, without httpx).
"""
