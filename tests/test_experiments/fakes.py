"""Tools that do in milliseconds what those of the repository do, and tell of it."""

import json
import sys
import time
from pathlib import Path

TRAIN = """
import pathlib, runpy, sys, time
config = runpy.run_path(sys.argv[1])
folder = pathlib.Path(sys.argv[sys.argv.index("--work-dir") + 1])
done = folder / "epoch.txt"
start = int(done.read_text()) if done.exists() else 0
with open(config["diary"], "a") as diary:
    diary.write(f"{config['name']} {config['randomness']['seed']} from {start}\\n")
for epoch in range(start, config["train_cfg"]["max_epochs"]):
    time.sleep(config["pause"])
    if config["fails"]:
        print("RuntimeError: as it was told to")
        sys.exit(3)
    done.write_text(str(epoch + 1))
if config["lacks"] == "checkpoint":
    sys.exit()
(folder / "epoch_1.pth").write_bytes(b"not a zip, so taken as it is")
(folder / "last_checkpoint").write_text("epoch_1.pth")
"""
TEST = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--work-dir") + 1])
assert sys.argv[2].endswith("epoch_1.pth")
pathlib.Path(sys.argv[sys.argv.index("--out") + 1]).write_bytes(b"")
"""
REPORT = """
import json, pathlib, runpy, sys
folder = pathlib.Path(sys.argv[1])
config = runpy.run_path(folder / "config.py")
ap = config["ap"] + config["randomness"]["seed"] / 100
figures = dict(AP=ap, APr=ap / 2, APc=None, APf=ap)
classes = [{"class": "a", "AP": ap}]
text = json.dumps(dict(figures=figures, classes=classes))
(folder / "report.json").write_text(text[: 9 if config["lacks"] == "report" else None])
"""
CONFIG = """
name = "plain"
diary = {diary!r}
pause = {pause}
fails = False
lacks = ""
ap = 0.25
train_cfg = dict(by_epoch=True, max_epochs=3)
train_dataloader = test_dataloader = dict()
test_cfg = dict()
"""


def write_experiment(folder, methods=None, seeds=(0, 1), pause=0.01):
    """Write fake tools, a config and an experiment; return the experiment's path."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name, text in (("train", TRAIN), ("test", TEST), ("report", REPORT)):
        (tools / f"{name}.py").write_text(text)
    config = folder / "base.py"
    config.write_text(CONFIG.format(diary=str(folder / "diary.txt"), pause=pause))
    methods = methods or {
        name: dict(options=dict(name=name, ap=ap))
        for name, ap in (("plain", 0.25), ("rfs", 0.5))
    }
    spec = dict(
        seeds=list(seeds),
        work_dir=str(folder / "work"),
        datasets=dict(toy=dict(config=str(config), ann_file="val.json")),
        methods=methods,
    )
    path = folder / "experiment.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in spec.items()))
    return path


def diary_of(folder):
    """Trainings that have begun, as (method, seed, first epoch)."""
    lines = (folder / "diary.txt").read_text().splitlines()
    words = [line.split() for line in lines]
    return [(word[0], int(word[1]), int(word[3])) for word in words]


def run_in_process(folder, processes=1):
    """Do the runs; for a process of its own."""
    from imb_det.experiments import finished_results, read_experiment, run_all

    experiment = read_experiment(folder / "experiment.py")
    failed = run_all(experiment, folder / "tools", processes, 1, lambda text: None)
    (folder / f"outcome-{time.time_ns()}.json").write_text(
        json.dumps(dict(results=len(finished_results(experiment)), failed=list(failed)))
    )
    sys.exit(0)


def wait_for(condition, seconds=30):
    """Wait until something holds; the test fails where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.01)


def living(pattern):
    """Processes whose command line has a text in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if pattern in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
