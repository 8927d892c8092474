"""How the commands of training end: one sentence and an exit status, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from shared.config import ConfigError
from shared.model.errors import ModelError
from training.errors import Diverged, TrainingError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def ended(job: Callable[[], int], stopped: str, *, disk_status: int = 2, full: str = "") -> int:
    """The job's exit status; 2 and one sentence for wrong arguments or data, 1 for a run that broke.

    A file that cannot be used is `disk_status`, and of a full disk `full` is said where it is given. Ctrl-C
    is 130, and says what `stopped` says. Of torchrun's processes on a machine the first alone speaks.
    """
    try:
        return job()
    except (ConfigError, ModelError, TrainingError) as error:
        _say(str(error))
        return 1 if isinstance(error, Diverged) else 2
    except OSError as error:
        is_full = full and error.errno in _FULL
        cannot = f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."
        _say(full if is_full else cannot)
        return disk_status
    except KeyboardInterrupt:
        _say(stopped)
        return 130


def leave(status: int) -> NoReturn:
    """End the process with its exit status; one of several ends without Python's own clearing away.

    Threads of gloo may still hold a tensor then, because their group is kept (`training.distributed`, and of
    torch 2.13 by caches of its own). Such a thread aborts or hangs the process when it lets go of the tensor.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _say(sentence: str) -> None:
    # What stops one process stops all of them, but what one machine lacks another may have.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(sentence, file=sys.stderr)
