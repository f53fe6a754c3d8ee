#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What tests of this folder must find missing when it is taken out of the daemon.
exec "$(dirname "$0")/../gates/mutations" integration
