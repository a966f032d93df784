"""How a missing value is written in COPY's text format here. No IO."""

# An empty field: no key and no reason is ever the empty string (the schemas ask for at least one character).
NULL = ""
