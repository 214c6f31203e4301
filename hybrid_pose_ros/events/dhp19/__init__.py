# SPDX-License-Identifier: Apache-2.0
"""Recordings of the data set DHP19 (Calabrese et al., CVPRW 2019): read, cleaned and written."""
