"""The routing file in the formats of other programs, one module per format."""
