"""Pages, tables and plots of what was measured: rows in, files out."""
