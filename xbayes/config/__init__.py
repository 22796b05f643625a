"""The config: what the user wrote, typed and checked."""
