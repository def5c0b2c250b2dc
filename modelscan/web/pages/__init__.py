"""One module per page: what a document becomes in its template. No requests, no clock."""
