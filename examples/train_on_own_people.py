# SPDX-License-Identifier: Apache-2.0
"""Train the shipped model further on labelled recordings of people of one's own.

    python train_on_own_people.py FOLDER MODEL.safetensors [UPDATES]

FOLDER holds recordings with labels in the form of "Your own recordings", of other people in each
part: train/*.npz, validation/*.npz and test/*.npz. The data and state of the training lie in
FOLDER/training; after an interruption the same command goes on. Measure the result on the people
of the test:

    hybrid-pose evaluate-recording FOLDER/test/walk.npz --checkpoint MODEL.safetensors
"""

import sys
from pathlib import Path

from hybrid_pose_ros.cli.main import main as hybrid_pose
from hybrid_pose_ros.networks.checkpoint import shipped_checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.research.training.importing import import_recording, read_labelled
from hybrid_pose_ros.research.training.shards import is_finished


def import_folder(source: Path, data: Path) -> None:
    """Bin each recording of a folder for training, those that are new."""
    recordings = sorted(source.glob("*.npz"))
    if not recordings:
        sys.exit(f"{source}: no recordings *.npz; put some with labels there")
    for path in recordings:
        recording = read_labelled(path, labels=None)
        if not is_finished(data / recording.name):
            import_recording(data, recording, EDGE)


def train(stage: str, folder: Path, *options: str) -> None:
    """Run a stage of the training, or its export."""
    places = ("--data", str(folder), "--out", str(folder / "run"))
    if code := hybrid_pose(["research", "train", stage, *places, *options]):
        sys.exit(code)


def main(
    folder: Path, model: Path, updates: int = 2000, samples: int = 256, batch: int = 16
) -> None:
    """Import, train the ANN and then the hybrid on it, and write the model.

    Args:
        updates: of the ANN, and of the hybrid.
        samples: windows on which a stage is validated, and the model tested.
        batch: samples of an update.
    """
    training = folder / "training"
    for part in ("train", "validation", "test"):
        import_folder(folder / part, training / part)
    tested = ("--samples", str(samples))
    gently = ("--from", str(shipped_checkpoint()), "--learning-rate", "3e-4", *tested)
    for stage in ("ann", "hybrid"):
        train(stage, training, *gently, "--updates", str(updates), "--batch", str(batch))
    train("export", training, "--checkpoint", str(model), *tested)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:4]))
