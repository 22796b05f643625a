"""Storage, rules and pages (pages_*.py) of the volunteers' site."""
