"""What a plugin process does wrong, as errors.

::

    errors.PermanentError
    └─ PluginHostError
       ├─ PluginStartError      the process did not come up
       ├─ PluginCallError       the plugin answered a call with an error
       ├─ PluginAnswerError     the answer is one that Velero refuses, or that makes it crash
       └─ PluginStopError       the process did not end as it should
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from velero_py_plugin import errors


class PluginHostError(errors.PermanentError):
    """A plugin process did something that Velero would not stand."""

    reason: ClassVar[str] = "PluginHost"


class PluginStartError(PluginHostError):
    """The process did not come up: Velero's server would end here."""

    reason: ClassVar[str] = "PluginStart"


class PluginAnswerError(PluginHostError):
    """The plugin's answer is one that Velero refuses, or that makes it crash."""

    reason: ClassVar[str] = "PluginAnswer"


class PluginStopError(PluginHostError):
    """The process did not end in time, with status 0 and both pipes closed."""

    reason: ClassVar[str] = "PluginStop"


@dataclasses.dataclass(frozen=True)
class StackFrame:
    """One line of a plugin's code on the way to an error."""

    file: str
    line: int
    function: str


class PluginCallError(PluginHostError):
    """The plugin answered a call with an error; the text is the one Velero shows.

    Attributes:
        code: The gRPC code as Go spells it, such as ``Unknown``.
        message: The plugin's own words.
        stack: Where the error came from; empty when the plugin does not say. Velero shows the first frame, so the
            innermost one belongs there; Go plugins linked with velero >= v1.18.2 send the outermost first.
    """

    reason: ClassVar[str] = "PluginCall"

    def __init__(self, code: str, message: str, stack: tuple[StackFrame, ...]) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}")
        self.code = code
        self.message = message
        self.stack = stack
