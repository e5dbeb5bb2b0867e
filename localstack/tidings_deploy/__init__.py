"""Builds, packages and deploys template.yaml with CloudFormation to any endpoint, and removes it again.

`template` reads the template. `build` makes a zip of each function. `stack` deploys with CloudFormation and checks that
everything works. `__main__` is the command line. No function is known by name: everything comes from the template.
"""


class Failure(Exception):
    """An error for the user of the command line. The text says what to do."""
