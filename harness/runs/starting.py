"""
One real start of a server, after which it either runs and is known, or is gone.

A process that was killed in the middle of a start leaves something half started; the next
one to start the same service removes that first, so that there are never two.
"""

import os
import shutil
import time
from collections.abc import Callable

from harness import providers
from harness.folders import explained, make_folder
from harness.runs.journal import Start
from harness.services import ProviderName, ServiceDetails, ServiceRequest

__all__ = ["clear", "start"]


def start(
    request: ServiceRequest,
    provider: ProviderName,
    *,
    record: Callable[[ServiceDetails], None],
    journal: Callable[[Start], None],
) -> ServiceDetails:
    """
    Start a service; to be called under the lock of that service.

    Args:
        request: What to start, and for whom.
        provider: Who starts it.
        record: Writes down where it is, or raises if nobody wants it any more.
        journal: Is told about a start that succeeded.

    Returns:
        The running service.

    Raises:
        ProviderError: This provider can't give it, or it could not be written down.
    """
    if request.folder.exists():
        clear(request, provider)
    began = time.monotonic()
    try:
        with explained(request.folder):
            make_folder(request.folder)
            details = providers.start(request, provider)
            if provider != "url":
                seconds = round(time.monotonic() - began, 3)
                journal(Start(request.service, provider, seconds, os.getpid()))
            record(details)
    except BaseException:
        clear(request, provider)
        raise
    return details


def clear(request: ServiceRequest, provider: ProviderName) -> None:
    """Stop what a request has started, even if its folder is gone, and remove that."""
    providers.stop(request, provider)
    shutil.rmtree(request.folder, ignore_errors=True)
