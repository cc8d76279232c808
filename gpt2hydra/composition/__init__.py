"""How do YAML and overrides become one configuration, and what is reported if they do not?"""
