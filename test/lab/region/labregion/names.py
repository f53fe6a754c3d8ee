# SPDX-License-Identifier: Apache-2.0
"""The names that a machine has: two that EC2 gives it, and one that the VPC's DHCP options make of it.

An interface's private DNS name is EC2's own. IMDS, and DescribeInstances of the instance itself, may show
another domain, with capitals, or what else somebody wrote into the option set: awslabs/amazon-eks-ami#1263, #1457.
"""

from __future__ import annotations

from .model import Interface, Region


def _host(private_ip: str) -> str:
    return f"ip-{private_ip.replace('.', '-')}"


def private_name(region: Region, interface: Interface, address: str = "") -> str | None:
    """EC2's name of the interface, or of one of its addresses; None where it has none: without IPv4, or in a
    VPC without DNS host names."""
    address = address or interface.primary
    if not address or not region.vpcs[interface.vpc_id]["EnableDnsHostnames"]:
        return None
    own = "ec2.internal" if region.name == "us-east-1" else f"{region.name}.compute.internal"
    return f"{_host(address)}.{region.knobs.dns.ec2_domain or own}"


def dhcp_name(region: Region, interface: Interface) -> str | None:
    """What the instance is called that has this interface as its primary one."""
    domain = region.knobs.dns.dhcp_domain
    return f"{_host(interface.primary)}.{domain}" if domain else private_name(region, interface)


def public_name(public_ip: str) -> str:
    return f"ec2-{public_ip.replace('.', '-')}.compute-1.amazonaws.com"
