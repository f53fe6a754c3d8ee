# SPDX-License-Identifier: Apache-2.0
"""The strict front of the simulated region; ../front starts it and says how it is used."""
