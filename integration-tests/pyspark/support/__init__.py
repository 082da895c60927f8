# SPDX-License-Identifier: Apache-2.0

"""What the scenarios and the single-purpose clients share."""
