"""Trainings of a ladder: which there are, which are resumed, and how the rest is carried out.

A training is a run of ``auscult train``, in a folder named by recipe and recordings; so what was trained before, by
this ladder, another one or by hand, is used again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import IO, Any

import torch
import yaml

from auscult.ablate.arms import Rung
from auscult.ablate.record import check_code, step_of
from auscult.errors import AuscultError, need
from auscult.files import write_bytes
from auscult.train.loop import Trainer
from auscult.train.run import RunFolder
from auscult.train.settings import Options
from auscult.train.setup import plan_run

STOPPED = 130
"""Exit code of a training that was asked to stop."""


@dataclass(frozen=True)
class Conduct:
    """How trainings are carried out; changes no result.

    ``jobs`` trainings at once, each in a process of its own on one of ``devices``; one at a time runs in this process.
    ``ray`` hands them to a Ray cluster, whose machines share the folders.
    """

    jobs: int = 1
    devices: tuple[str, ...] = ("auto",)
    workers: int = 1
    save_every: int = 500
    ray: bool = False


@dataclass(frozen=True)
class Job:
    """One training: a record that travels to other processes and machines."""

    arm: str
    seed: int
    recipe: Mapping[str, Any]
    steps: int
    data: Path | None
    run: Path
    folder: Path
    """The ladder's, for recipes and logs."""

    @property
    def label(self) -> str:
        return f"{self.arm} seed {self.seed}"

    @property
    def step(self) -> int:
        """How far it is."""
        return step_of(self.run)

    def anywhere(self) -> Job:
        """The same, whatever folder its process stands in."""
        data = self.data.absolute() if self.data else Path.cwd()
        return replace(self, data=data, run=self.run.absolute(), folder=self.folder.absolute())


@dataclass(frozen=True)
class Ended:
    """How a training ended: ``finished``, ``reused``, ``early``, ``stopped`` or ``failed``, and why."""

    job: Job
    reason: str
    why: str = ""


def jobs_of(rungs: Mapping[str, Rung], seeds: Sequence[int], data: Path | None, runs: Path, out: Path) -> list[Job]:
    """One a different training: arms that restore differently share theirs."""
    found: dict[Path, Job] = {}
    for seed in seeds:  # seed by seed: an interrupted ladder has whole ones
        for rung in rungs.values():
            run = runs / rung.folder_name(seed)
            job = Job(rung.name, seed, rung.seeded(seed), rung.plan.training.steps, data, run, out)
            found.setdefault(run, job)
    return list(found.values())


def train(jobs: Sequence[Job], conduct: Conduct, tell: Callable[[str], None]) -> list[Ended]:
    """Train what is not trained yet. A failure is named and does not stop the others; a stop does.

    Raises:
        TrainingError: a run that another version of auscult trained.
        MissingExtra: Ray is asked for and not installed.
    """
    for job in jobs:
        check_code(job.run)
    waiting = [job for job in jobs if job.step < job.steps]
    ended = [Ended(job, "reused") for job in jobs if job not in waiting]
    for one in ended:
        tell(f"{one.job.label}: {one.job.run} is there")
    for end in _carried_out(waiting, conduct, tell):
        tell(f"{end.job.label}: {end.reason}{f': {end.why}' if end.why else ''}")
        ended.append(end)
        if end.reason == "stopped":
            break
    return ended


def _carried_out(jobs: Sequence[Job], conduct: Conduct, tell: Callable[[str], None]) -> Iterator[Ended]:
    if conduct.ray:
        yield from _on_ray(jobs, conduct)
    elif conduct.jobs == 1:
        for job in jobs:
            tell(_beginning(job))
            yield _here(job, conduct)
    else:
        yield from _in_processes(jobs, conduct, tell)


def _beginning(job: Job) -> str:
    return f"{job.label}: {f'resuming at step {job.step}' if job.step else 'training'} of {job.steps} in {job.run}"


def _here(job: Job, conduct: Conduct) -> Ended:
    """A training in this process."""
    run = RunFolder(job.run)
    try:
        options = Options(conduct.workers, conduct.save_every, device=conduct.devices[0])
        ending = Trainer(plan_run(job.recipe, options, job.data), run, _quiet).fit()
    except (AuscultError, torch.OutOfMemoryError) as error:
        return Ended(job, "failed", str(error).partition("\n")[0])
    finally:
        run.close()
    return Ended(job, ending.reason, f"no new best after step {ending.step}" if ending.reason == "early" else "")


def _quiet(row: Mapping[str, Any]) -> None:
    """The history has every row."""


def _in_processes(jobs: Sequence[Job], conduct: Conduct, tell: Callable[[str], None]) -> Iterator[Ended]:
    """``conduct.jobs`` at once; each takes a free device."""
    devices: SimpleQueue[str] = SimpleQueue()
    for number in range(conduct.jobs):
        devices.put(conduct.devices[number % len(conduct.devices)])

    def one(job: Job) -> Ended:
        device = devices.get()
        tell(_beginning(job))
        try:
            return _as_command(job, replace(conduct, devices=(device,)), children)
        finally:
            devices.put(device)

    with _children() as children, ThreadPoolExecutor(conduct.jobs) as pool:
        futures = [pool.submit(one, job) for job in jobs]
        try:
            yield from (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()


class _Children:
    """Processes of ours; none outlives us. A training that is asked to end saves first."""

    def __init__(self) -> None:
        self._lock, self._running, self._stopping = Lock(), set[subprocess.Popen[bytes]](), False

    def wait(self, command: Sequence[str], env: Mapping[str, str], log: IO[bytes]) -> int:
        """Run to the end; its exit code."""
        with self._lock:
            if self._stopping:
                return STOPPED
            child = subprocess.Popen(command, env=dict(env), stdout=log, stderr=subprocess.STDOUT)
            self._running.add(child)
        code = child.wait()
        with self._lock:
            self._running.discard(child)
        return code

    def stop(self) -> None:
        """Ask all that still run to save and end."""
        with self._lock:
            self._stopping = True
            for child in self._running:
                child.terminate()


@contextmanager
def _children() -> Iterator[_Children]:
    children = _Children()
    try:
        yield children
    finally:
        children.stop()


def _as_command(job: Job, conduct: Conduct, children: _Children) -> Ended:
    """``auscult train`` in a process of its own, its output in a log."""
    name = f"{job.arm}-seed-{job.seed}"
    recipe, log = job.folder / "recipes" / f"{name}.yaml", job.folder / "logs" / f"{name}.log"
    write_bytes(recipe, yaml.safe_dump(dict(job.recipe), sort_keys=False).encode())
    log.parent.mkdir(parents=True, exist_ok=True)
    device = conduct.devices[0]
    env = dict(os.environ)
    if device.startswith("cuda:"):
        env["CUDA_VISIBLE_DEVICES"], device = device.removeprefix("cuda:"), "cuda"
    command = [sys.executable, "-m", "auscult", "train", str(recipe), "--runs", str(job.run.parent)]
    command += ["--force"]  # the ladder was looked at as a whole
    command += [] if job.data is None else ["--data", str(job.data)]
    command += ["--device", device, "--workers", str(conduct.workers), "--save-every", str(conduct.save_every)]
    with open(log, "wb") as file:
        code = children.wait(command, env, file)
    return _ended(job, code, log)


def _ended(job: Job, code: int, log: Path) -> Ended:
    if code == 0:
        return Ended(job, "finished" if job.step >= job.steps else "early")
    if code == STOPPED:
        return Ended(job, "stopped")
    lines = log.read_text(errors="replace").strip().splitlines()
    died = f"killed by signal {-code}, perhaps for want of memory" if code < 0 else f"exit code {code}"
    return Ended(job, "failed", f"{died}; {log}: {lines[-1] if lines else 'no output'}")


def _on_ray(jobs: Sequence[Job], conduct: Conduct) -> Iterator[Ended]:
    """One task a training, one GPU each where the cluster has any; ``jobs`` at once where there is none."""
    ray = need("ray", "training over machines")
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)) // conduct.jobs)

    one = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_alone)
    there = replace(conduct, devices=("cpu" if conduct.devices == ("cpu",) else "auto",))  # Ray hands out the GPUs
    waiting = {one.remote(job.anywhere(), there): job for job in jobs}
    try:
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield Ended(job, "failed", f"Ray lost it ({type(error).__name__})")
    finally:
        for task in waiting:
            ray.cancel(task)


def _alone(job: Job, conduct: Conduct) -> Ended:
    """A training in a process of its own, on the machine that this is called on."""
    with _children() as children:
        return _as_command(job, conduct, children)
