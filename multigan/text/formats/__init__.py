"""Files with text: lines, tables, and what is neither."""
