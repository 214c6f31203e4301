# SPDX-License-Identifier: Apache-2.0
"""Whether an HDF5 file holds the numbers that it says it holds."""

import math

import h5py


def check_stored(dataset: h5py.Dataset) -> None:
    """Check that all numbers of a dataset were written, and into this file.

    In place of others HDF5 gives a fill value without a word, and of a file of a kilobyte as many
    as its header says.

    Raises:
        ValueError: some were not.
    """
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{dataset.name} lies in other files")
    if dataset.chunks:
        parts = zip(dataset.shape, dataset.chunks, strict=True)
        chunks = math.prod(-(-length // chunk) for length, chunk in parts)
        whole = dataset.id.get_num_chunks() >= chunks
    else:
        whole = dataset.id.get_storage_size() >= dataset.nbytes
    if not whole:
        raise ValueError(f"{dataset.name} was never written in part or whole")
