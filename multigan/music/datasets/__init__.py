"""Song datasets."""
