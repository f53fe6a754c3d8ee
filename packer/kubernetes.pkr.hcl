# SPDX-License-Identifier: Apache-2.0
#
# The AMI of masters and nodes, from Debian's own. One build makes one image:
#
#   make deb
#   packer init packer
#   packer/pin
#   packer build -var daemon_deb=build/release/kube-bootstrap.deb packer
#
# for arm64 with `-var architecture=arm64`; for docker with `-var images=images.docker -var debian=12`;
# and the package built on the same. Debian 12's Packer 1.6.6 validates this file (given as a file: see plugins.pkr.hcl); a build
# wants a current one, whose SSH client makes the signatures that Debian 12's server accepts.
#
# The builder's metadata service asks for a token where Debian's image or the account's default say
# so; 1.6.6 knows no setting for it. There is nothing to protect: the builder has no role. The
# instances' own is set by their launch templates.

variable "daemon_deb" {
  type        = string
  description = "The daemon's Debian package, which `make deb` makes on a machine of the same release and architecture."
}

variable "debian" {
  type        = string
  description = "Debian's release: 13, or 12 for images.docker."
  default     = "13"

  validation {
    condition     = contains(["12", "13"], var.debian)
    error_message = "The release of Debian must be 12 or 13."
  }
}

variable "architecture" {
  type        = string
  description = "The instances' architecture, as Debian names it: amd64 or arm64."
  default     = "amd64"

  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "The architecture must be amd64 or arm64."
  }
}

variable "images" {
  type        = string
  description = "The list of images, a file of conf/: images (containerd) or images.docker. It also tells the version of Kubernetes and what pods run on."
  default     = "images"

  validation {
    condition     = substr(var.images, 0, 6) == "images"
    error_message = "The list of images must be a file of conf/ whose name begins with images."
  }
}

variable "conf_folder" {
  type        = string
  description = "The administrator's own conf/, with the list of images and what docker and kubelet are told; by default the tree's."
  default     = ""
}

variable "airgap_folder" {
  type        = string
  description = "For a build that reaches no registry and not Kubernetes' site: a folder with images/NAME.tar of each NAME_IMAGE in the list (as `docker save` writes it; etcd.tar for ETCD_IMAGE) and binaries/kubelet, binaries/kubectl. Packages then come from debian_mirror."
  default     = ""
}

variable "unpinned" {
  type        = bool
  description = "Whether to build with images and programs that have no digest or checksum in the file beside the list of images, which packer/pin writes."
  default     = false
}

variable "debian_mirror" {
  type        = string
  description = "A mirror of Debian that the builder reaches, such as http://mirror.example/debian, with http://mirror.example/debian-security beside it; by default what Debian's image has."
  default     = ""
}

variable "region" {
  type        = string
  description = "The region to build in."
  default     = "us-east-1"
}

variable "copy_to_regions" {
  type        = list(string)
  description = "Further regions to copy the image to."
  default     = []
}

variable "debian_owner" {
  type        = string
  description = "The account of Debian's images; China and GovCloud have others."
  default     = "136693071363"
}

variable "instance_type" {
  type        = string
  description = "The builder's; by default t3.medium, or t4g.medium for arm64."
  default     = ""
}

variable "subnet_id" {
  type        = string
  description = "The builder's subnet; by default one of the default VPC's."
  default     = ""
}

variable "disk_gib" {
  type        = number
  description = "The size of the image's disk, which is the least that an instance's may have."
  default     = 10

  validation {
    condition     = var.disk_gib >= 8
    error_message = "The disk must have 8 GiB at least, which Debian's image has."
  }
}

variable "encrypted" {
  type        = bool
  description = "Whether the image's snapshot is encrypted. One that is to be made public cannot be."
  default     = true
}

variable "kms_key_id" {
  type        = string
  description = "The customer key to encrypt it with; by default the account's for EBS."
  default     = ""
}

variable "name" {
  type        = string
  description = "What the image's name begins with."
  default     = "kube-bootstrap"
}

locals {
  instance_types = {
    amd64 = "t3.medium"
    arm64 = "t4g.medium"
  }
  instance_type = var.instance_type != "" ? var.instance_type : local.instance_types[var.architecture]

  # All of them, in the order of their numbers: the lab's image is made by the same rule.
  scripts = [for script in fileset(abspath("${path.root}/provision"), "*.sh") : "${path.root}/provision/${script}"]

  # 90-clean.sh empties this folder's parent.
  uploads = "/var/tmp/kube-bootstrap"
  conf    = var.conf_folder != "" ? var.conf_folder : "${path.root}/../conf"

  # The list's lines of these keys. Debian 12's Packer knows no regular expressions.
  list              = split("\n", file(abspath("${local.conf}/${var.images}")))
  apiserver         = [for line in local.list : split(":", split("@", line)[0]) if substr(line, 0, 16) == "APISERVER_IMAGE="][0]
  container_runtime = [for line in local.list : split("=", line)[1] if substr(line, 0, 18) == "CONTAINER_RUNTIME="][0]

  kubernetes_version = local.apiserver[length(local.apiserver) - 1]

  airgapped = var.airgap_folder != ""

  tags = {
    Name              = var.name
    Debian            = var.debian
    Architecture      = var.architecture
    KubernetesVersion = local.kubernetes_version
    ContainerRuntime  = local.container_runtime
    SourceImage       = "{{ .SourceAMIName }}"
  }
}

source "amazon-ebs" "debian" {
  region        = var.region
  ami_regions   = var.copy_to_regions
  ami_name      = "${var.name}-debian-${var.debian}-${var.architecture}-${local.kubernetes_version}-{{ timestamp }}"
  instance_type = local.instance_type
  subnet_id     = var.subnet_id
  ssh_username  = "admin"

  source_ami_filter {
    filters = {
      name                = "debian-${var.debian}-${var.architecture}-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.debian_owner]
    most_recent = true
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    throughput            = 125 # 1.6.6 wants it said
    iops                  = 3000
    volume_size           = var.disk_gib
    encrypted             = var.encrypted
    kms_key_id            = var.kms_key_id
    delete_on_termination = true
  }

  tags            = local.tags
  snapshot_tags   = local.tags
  run_tags        = { Name = "${var.name} (builder)" }
  run_volume_tags = { Name = "${var.name} (builder)" }
}

build {
  sources = ["source.amazon-ebs.debian"]

  provisioner "shell" {
    inline = ["mkdir -p ${local.uploads}/conf"]
  }

  # With a slash at its end, what is in the folder goes up, without its name.
  provisioner "file" {
    source      = "${local.conf}/"
    destination = "${local.uploads}/conf"
  }

  provisioner "file" {
    sources = compact([
      "${path.root}/lib",
      var.daemon_deb,
      local.airgapped ? "${var.airgap_folder}/" : "",
    ])
    destination = "${local.uploads}/"
  }

  provisioner "shell" {
    scripts         = local.scripts
    execute_command = "chmod +x {{ .Path }} && sudo env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "DEBIAN_MIRROR=${var.debian_mirror}",
      "PROVISION_LIB=${local.uploads}/lib",
      "CONF_DIR=${local.uploads}/conf",
      "IMAGES_LIST=${local.uploads}/conf/${var.images}",
      "UNPINNED=${var.unpinned}",
      "DAEMON_DEB=${local.uploads}/${basename(var.daemon_deb)}",
      "IMAGES_DIR=${local.airgapped ? "${local.uploads}/images" : ""}",
      "BINARIES_DIR=${local.airgapped ? "${local.uploads}/binaries" : ""}",
    ]
  }
}
