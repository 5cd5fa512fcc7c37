"""The one exception that means "the user can mend this"."""


class SplatError(Exception):
    """A problem with what the user gave us or with their machine, not with our code.

    `str(error)` is one plain sentence: which file or argument, what is wrong with it, what to do. The command line
    prints it and exits with code 2; a library user catches this one type for every file and capture problem.
    """
