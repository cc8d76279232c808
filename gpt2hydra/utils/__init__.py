"""Nothing of ours: text, tables, shell quoting, YAML nodes. Standard library and PyYAML only."""
