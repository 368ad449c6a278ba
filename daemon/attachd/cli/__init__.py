"""The commands: the only place where an error becomes text for a person, and a value a table or JSON."""
