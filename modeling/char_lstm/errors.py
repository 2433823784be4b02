"""The errors that are meant for the person who runs a command: each message says what was wrong and what to do."""


class UserError(Exception):
    """Ends a command in one sentence instead of a traceback; `status` is its exit status."""

    status = 2


class CheckpointError(UserError, ValueError):
    """A checkpoint whose parts are missing, broken, or disagree."""


class CorpusError(UserError, ValueError):
    """No corpus can be made of this input or in this place."""


class WriteError(UserError, OSError):
    """A result that could not be written; what was in its place is as it was."""


class TrainingError(UserError, RuntimeError):
    """Training cannot start or go on."""


class PublishError(UserError):
    """Publishing ended early; `status` is 1 where trying again later helps."""

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status
