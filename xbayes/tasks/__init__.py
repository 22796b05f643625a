"""The tasks: one file per command, from a catalogue to its result."""
