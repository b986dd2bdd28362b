"""Reports and comparisons of runs as offline HTML pages."""
