"""What the report has published: networks, tables, runs."""
