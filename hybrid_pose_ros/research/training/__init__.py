# SPDX-License-Identifier: Apache-2.0
"""Training on synthetic recordings: shards, batches, stages and the training loop."""
