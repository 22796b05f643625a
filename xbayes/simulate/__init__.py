"""A simulated X-ray sky with known classes."""
