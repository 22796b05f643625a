"""One file per command, from a catalogue to what the user asked for."""
