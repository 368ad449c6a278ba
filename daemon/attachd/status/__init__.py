"""The whole service as one value: what `status`, a page and metrics show."""
