"""The repository's own format: the format blob, keys derived from the password, parameters, locks."""
