"""What the figures of a run depend on: machine and versions."""

import datetime
import os
import platform
import subprocess
from pathlib import Path


def first_line(command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return None
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.returncode == 0 else None


def memory(key):
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def available_memory():
    return memory("MemAvailable")


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def version_file(path):
    return path.read_text().strip() if path.exists() else None


def python_version(package):
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def machine(root, target, base):
    commit = first_line(["git", "-C", str(root), "describe", "--always", "--dirty"])
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": platform.release(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory("MemTotal") / (1 << 30), 1),
        "disk": first_line(["findmnt", "-n", "-o", "FSTYPE", "-T", base]),
        "versions": {
            "arrayfs": first_line([str(target / "release" / "arrayfs"), "--version"]),
            "commit": commit,
            "rustc": first_line(["rustc", "--version"]),
            "python": platform.python_version(),
            "passthrough_hp (libfuse)": version_file(target / "bench" / "passthrough_hp.version"),
            "archivemount": first_line(["dpkg-query", "-W", "-f", "${Version}", "archivemount"]),
            "fuse-archive": first_line(["dpkg-query", "-W", "-f", "${Version}", "fuse-archive"]),
            **{package: python_version(package) for package in ("numpy", "h5py", "ratarmount")},
        },
    }
