"""The status page, health and metrics over HTTP; the only room that needs the extra `page`."""
