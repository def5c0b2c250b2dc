"""The data path: one worker process that receives, checks, forwards and streams requests."""
