# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose export`: the networks in the formats of other programs."""

import argparse
from pathlib import Path
from typing import Any

from hybrid_pose_ros.cli import writing

FORMATS = ("nir", "onnx")


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write the networks for other programs: NIR, ONNX, the fit to chips",
        description="Write the SNN as NIR, for neuromorphic simulators and chips, or the ANN with "
        "the initialiser as ONNX; or print whether the SNN fits chips. Needs "
        "`pip install -r requirements-export.txt`.",
    )
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--format", choices=FORMATS, help="nir: the SNN; onnx: the ANN")
    wanted.add_argument(
        "--fit",
        action="store_true",
        help="print neurons, fan-in and bits of each layer beside the limits of chips",
    )
    parser.add_argument("--model", type=Path, help="checkpoint (default: the shipped one)")
    parser.add_argument("--out", type=Path, help="file to write (default: MODEL.nir, MODEL.onnx)")


def run(options: argparse.Namespace) -> int:
    """Write, or print the tables."""
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(options.model)
    if options.fit:
        from hybrid_pose_ros.research.export.chip_fit import fit_page

        print(fit_page(checkpoint))
        return 0
    path = options.out or Path(f"{checkpoint.config.name}.{options.format}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if options.format == "nir":
            from hybrid_pose_ros.research.export.nir_graph import write_nir

            write_nir(checkpoint, path)
        else:
            from hybrid_pose_ros.research.export.onnx_model import write_onnx

            write_onnx(checkpoint, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, of {checkpoint.digest}")
    return 0
