# SPDX-License-Identifier: Apache-2.0
"""The lab: a simulated region and the machines that run in it.

settings   paths and addresses, running commands
kernel     settings of this host's kernel that instances change
cgroup     one control group per machine, in every hierarchy
network    the namespace that is the VPC, its gateway and its Elastic IPs
volume     EBS volumes as loop devices
guest      what a first boot finds on its disk: addresses, names, CA, user data
machine    an instance: a systemd-nspawn machine and the process that watches it
tree       this tree's own build, as a layer on top of the image
region     the front (EC2, S3, IAM, ... and instance metadata) and how to ask it
testing    claims of tests, and how they ask and wait
"""
