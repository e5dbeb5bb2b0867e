"""Builds, packages and deploys template.yaml by CloudFormation to any endpoint, and removes it again.

`template` reads what the template names, `build` makes a zip of each function, `stack` has CloudFormation bring it up
and looks whether everything did, `__main__` is the command line. Nothing here knows a function by its name: all that is
built and checked is what the template lists.
"""


class Failure(Exception):
    """Something that the person at the command line has to know, in lines that say what to do."""
