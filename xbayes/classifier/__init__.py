"""The whole classifier: learned, applied, explained, stored."""
