"""``GET /v1/events``: what happens to models, deployments, nodes and routes, as it happens."""
