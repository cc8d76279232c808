"""How do YAML and overrides become one configuration, and what is said if they do not?"""
