# SPDX-License-Identifier: Apache-2.0
#
# Where a current Packer has the amazon-ebs builder from: `packer init packer` fetches it. Packer
# before 1.7, such as Debian 12's 1.6.6, has it built in and refuses this block, so it stands in a
# file of its own: given the folder (`packer build packer`) Packer reads both files, given a file
# (`packer validate packer/kubernetes.pkr.hcl`) that file alone.

packer {
  required_version = ">= 1.7.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1"
    }
  }
}
