"""Other dialects over chat completions: pure functions from bodies and events to bodies and events.

A face (``messages``, ``responses``, ``ollama``) turns a request into a chat completions request,
and the answer, whole or as a stream, back into its own shapes.
"""
