"""WHERE TO: the routing file: schema, edit, validate, resolve, exports."""
