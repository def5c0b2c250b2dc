"""Downloads of weights from a hub: resumable, verified, pinned to a revision."""
