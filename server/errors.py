"""Why a process of ours does not start or cannot go on."""


class CannotRun(Exception):
    """One line for the operator, without a traceback; the process ends with status 1."""
