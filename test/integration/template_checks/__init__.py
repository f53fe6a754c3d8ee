# SPDX-License-Identifier: Apache-2.0
"""Checks of the CloudFormation template, against what is published about its language."""
