"""A real Slurm of one node for tests: munged, slurmctld and slurmd, below one folder, on loopback.

As a script it installs what is missing, where root and apt allow: ``python tests/assets/slurm.py``.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "sbatch", "slurmctld", "slurmd", "srun")
POLICY = Path("/usr/sbin/policy-rc.d")
"""Its answer 101 keeps packages from starting services."""

ARRAY = 3
"""Most tasks of an array, so that few units are too many."""

CONFIG = """ClusterName=toedit
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
ReturnToService=2
KillWait=2
BatchStartTimeout=1
SlurmdParameters=config_overrides
MaxArraySize={array}
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 CoresPerSocket=4 RealMemory=16000
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE DefMemPerCPU=100 OverSubscribe=NO
PartitionName=brief Nodes={host} MaxTime=10 DefMemPerCPU=100
"""


def missing() -> str:
    """Why there can be no Slurm here; empty if there can."""
    if os.getuid():
        return "a Slurm of its own needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not found; apt-get install {' '.join(PACKAGES)}" if absent else ""


def install() -> None:
    """Install what is missing; without root or apt, or if that fails, say why nothing is done."""
    reason = missing()
    if reason and os.getuid() == 0 and shutil.which("apt-get"):
        made = not POLICY.exists()
        if made:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
            subprocess.run([*apt, *words], env=quiet, stdout=subprocess.DEVNULL, check=False)
        if made:
            POLICY.unlink()
        reason = missing()
    if reason:
        print(f"tests on a real Slurm are skipped: {reason}")


def ask(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


class Cluster:
    """The daemons; ``SLURM_CONF`` of the tests names their configuration."""

    def __init__(self, root: Path) -> None:
        self.root, self.conf = root, root / "slurm.conf"
        for name in ("state", "spool"):
            (root / name).mkdir(parents=True)
        self.host = socket.gethostname().partition(".")[0]
        try:
            socket.gethostbyname(self.host)
        except OSError:
            with open("/etc/hosts", "a") as hosts:
                hosts.write(f"127.0.0.1 {self.host}\n")  # by which srun is called back
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        controller, node = (each.getsockname()[1] for each in sockets)
        for each in sockets:
            each.close()
        self.conf.write_text(CONFIG.format(root=root, host=self.host, controller=controller,
                                           node=node, array=ARRAY))  # fmt: skip
        key = root / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        os.environ["SLURM_CONF"] = str(self.conf)
        self._begin("munged", "--force", f"--key-file={key}", f"--socket={root}/munge.socket",
                    f"--pid-file={root}/munged.pid", f"--log-file={root}/munged.log",
                    f"--seed-file={root}/munged.seed")  # fmt: skip
        self.start()

    def _begin(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start what does not run, and wait for the node."""
        for name, more in (("slurmctld", ()), ("slurmd", ("-N", self.host))):
            if not (self.root / f"{name}.pid").exists():
                self._begin(name, "-f", str(self.conf), *more)
        until(lambda: ask("sinfo", "-h", "-o", "%T").strip() in ("idle", "mixed", "allocated"))

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a daemon, the node with all that it runs if it is killed."""
        path = self.root / f"{name}.pid"
        ends = [int(path.read_text())]
        if number == signal.SIGKILL:
            import psutil

            keepers, others = list[int](), list[int]()
            for process in psutil.process_iter():  # of this cluster's jobs, with their keepers
                with suppress(psutil.Error):
                    variables = process.environ()
                    if "SLURM_JOB_ID" in variables and variables["SLURM_CONF"] == str(self.conf):
                        keepers += [p.pid for p in process.parents() if "slurmstepd" in p.name()]
                        others.append(process.pid)
            ends += [*keepers, *others]  # a keeper would tell of the end
        for pid in dict.fromkeys(ends):
            os.kill(pid, number)
        until(lambda: not Path("/proc", str(ends[0])).exists())
        path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Cancel every job and wait for the node."""
        self.start()
        ask("scancel", "-u", "root")
        until(lambda: not ask("squeue", "-h").strip())

    def stop(self) -> None:
        """End everything."""
        self.clear()
        for name in ("slurmd", "slurmctld", "munged"):
            self.end(name)


def until(holds, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, ask("squeue") + ask("sinfo")
        time.sleep(0.1)


def begin_again(number: str) -> None:
    """Begin a job that is queued again at once, which otherwise waits for two minutes."""
    time.sleep(3)  # the node still revokes what it was told to begin before
    ask("scontrol", "update", f"JobId={number}", "StartTime=now")


if __name__ == "__main__":
    install()
