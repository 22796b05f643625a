"""The command line: it parses, calls one task, and prints."""
