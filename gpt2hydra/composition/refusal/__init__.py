"""What is said of a configuration that is refused: :mod:`.report` has all of it, the other rooms one part each."""
