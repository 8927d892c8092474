"""Windows job objects: what a service started ends with it, and everything ends when the launcher dies."""

from __future__ import annotations

import subprocess
import sys

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _BasicLimits(ctypes.Structure):
        _fields_ = [
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        ]

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = [
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        ]

    class Job:
        """A Windows job object: its processes end when the last handle closes, so also when we die."""

        _KILL_ON_JOB_CLOSE = 0x2000
        _EXTENDED_LIMIT_INFORMATION = 9

        def __init__(self, process_handle: int) -> None:
            kernel32 = self._kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
            kernel32.CreateJobObjectW.restype = wintypes.HANDLE
            kernel32.SetInformationJobObject.argtypes = [
                wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD,
            ]  # fmt: skip
            kernel32.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
            kernel32.TerminateJobObject.argtypes = [wintypes.HANDLE, wintypes.UINT]
            self._handle = kernel32.CreateJobObjectW(None, None)
            limits = _ExtendedLimits()
            limits.BasicLimitInformation.LimitFlags = self._KILL_ON_JOB_CLOSE
            if not (
                self._handle
                and kernel32.SetInformationJobObject(
                    self._handle,
                    self._EXTENDED_LIMIT_INFORMATION,
                    ctypes.byref(limits),
                    ctypes.sizeof(limits),
                )
                and kernel32.AssignProcessToJobObject(self._handle, process_handle)
            ):
                raise ctypes.WinError(ctypes.get_last_error())

        def end(self) -> None:
            """End every process of the job."""
            self._kernel32.TerminateJobObject(self._handle, 1)

    def job_for(popen: subprocess.Popen[bytes]) -> Job | None:
        """Put a process into a job of its own; what it starts belongs to it as well."""
        return Job(int(getattr(popen, "_handle")))  # noqa: B009 -- typeshed hides it

else:

    class Job:
        """Only Windows has job objects; elsewhere process groups and the lifeline do their work."""

        def end(self) -> None:
            """Nothing to end."""

    def job_for(popen: subprocess.Popen[bytes]) -> Job | None:
        """None: there is nothing to put it into."""
        return None
