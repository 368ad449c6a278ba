"""rules.yaml with line numbers → validated settings, every problem at once. The only room that knows YAML."""
