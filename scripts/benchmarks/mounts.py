"""Mounts of the file systems that are measured. Each is taken away again, whatever happens."""

import contextlib
import os
import subprocess
import tempfile
import time

import processes

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


class CannotMount(Exception):
    """Why a file system cannot be mounted here."""


def run(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)


def unmount(mountpoint):
    """Takes away whatever is mounted there; a reader that is ending may hold it a moment longer."""
    for attempt in range(50):
        if not os.path.ismount(mountpoint):
            return
        run(["fusermount3", "-u", mountpoint])
        run(["umount", mountpoint])
        time.sleep(0.02 * attempt)
    run(["umount", "--lazy", mountpoint])


class ArrayfsMount:
    """A mount by the program itself; `pid` is the process that serves."""

    def __init__(self, program, store, mountpoint, options, prefix):
        start = time.perf_counter()
        done = run([*prefix, program, "mount", *options, store, mountpoint])
        self.seconds = time.perf_counter() - start
        if done.returncode:
            raise CannotMount((done.stderr.strip().splitlines() or ["no reason given"])[0])
        self.path, self.program, self.prefix = mountpoint, program, prefix

    @property
    def pid(self):
        return processes.find(self.program, self.path)

    def close(self):
        pid = None
        with contextlib.suppress(RuntimeError):
            pid = self.pid
        run([*self.prefix, self.program, "unmount", self.path])
        unmount(self.path)
        # Its end frees maps and numbers, which must not happen beside the next measurement.
        while pid and processes.is_alive(pid):
            time.sleep(0.002)


class ForegroundMount:
    """A mount by a program that stays in the foreground."""

    def __init__(self, command, mountpoint):
        start = time.perf_counter()
        self.path = mountpoint
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        # A session of its own: Ctrl-C is for the bench, which then unmounts.
        self.server = subprocess.Popen(command, start_new_session=True, **quiet)
        while not os.path.ismount(mountpoint):
            if self.server.poll() is not None or time.perf_counter() - start > 60:
                self.close()
                raise CannotMount(f"{os.path.basename(command[0])} gave up")
            time.sleep(0.002)
        self.seconds = time.perf_counter() - start
        self.pid = self.server.pid

    def close(self):
        unmount(self.path)
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


class Mounts:
    """Makes mounts in directories of their own below `base`."""

    def __init__(self, base, arrayfs, reference):
        self.base, self.program, self.reference_program = base, arrayfs, reference

    @contextlib.contextmanager
    def _at(self, make, owner=None):
        mountpoint = tempfile.mkdtemp(prefix="mount-", dir=self.base)
        if owner is not None:
            os.chown(mountpoint, owner, owner)
        mounted = None
        try:
            mounted = make(mountpoint)
            yield mounted
        finally:
            if mounted is not None:
                mounted.close()
            unmount(mountpoint)
            os.rmdir(mountpoint)

    def arrayfs(self, store, *options):
        return self._at(lambda at: ArrayfsMount(self.program, store, at, options, []))

    def arrayfs_as_nobody(self, store):
        return self._at(lambda at: ArrayfsMount(self.program, store, at, [], AS_NOBODY), owner=NOBODY)

    def reference(self, folder, *options):
        command = [self.reference_program, "--foreground", *options, folder]
        return self._at(lambda at: ForegroundMount([*command, at], at))

    def foreground(self, command):
        return self._at(lambda at: ForegroundMount([*command, at], at))
