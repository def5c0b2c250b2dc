"""The one HTTP client: deadlines, size limits, redirects, caching, error texts."""
