"""One model per group of records, each field with its origin."""
