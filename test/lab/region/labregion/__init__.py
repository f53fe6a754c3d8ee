# SPDX-License-Identifier: MIT
"""The strict front of the simulated region; ../front starts it and says how it is used."""
