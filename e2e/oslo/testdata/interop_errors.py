"""Exceptions that both sides of the interop tests know by name."""


class InteropError(Exception):
    def __init__(self, message, **kwargs):
        super().__init__(message)
        self.kwargs = kwargs
