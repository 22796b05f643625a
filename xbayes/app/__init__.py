"""The explorer: a site over classified catalogues. It shows numbers and computes none."""
