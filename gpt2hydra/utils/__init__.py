"""General helpers: text, tables, shell quoting, YAML nodes. Standard library and PyYAML only."""
