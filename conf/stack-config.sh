# /etc/kubernetes/stack-config.sh: what an instance must know of its cluster. User data writes it, as
# #cloud-config with write_files. Shell by its looks, but parsed and never executed; see
# stack-config.sh(5). Values that are commented as optional show their defaults.

# What this instance is to become; checked against its IAM role.
# role master|node; required
KUBERNETES_ROLE=master

# Name of the cluster; marks the master volume's filesystem.
# name; required
CLUSTER_NAME=kubernetes

# Bucket of the certificates and tokens.
# bucket name; required
S3_BUCKET=kubernetes-123456789012-us-east-1

# Folder in the bucket, so that clusters can share one.
# key prefix; optional
S3_PREFIX=pki

# Key that encrypts the objects; empty: the bucket's default encryption.
# string; optional
KMS_KEY_ID=""

# EBS volume of the master: etcd's data. Whoever has it attached is the master.
# volume id; required on the master
MASTER_VOLUME_ID=vol-0123456789abcdef0

# Elastic IP of the API server, in its certificate from the cluster's creation on.
# allocation id; required on the master
MASTER_EIP_ALLOCATION_ID=eipalloc-0123456789abcdef0

# Fixed private address of the master, in its subnet; in certificates from the cluster's creation on.
# IPv4 address; required
MASTER_PRIVATE_IP=172.20.128.9

# Name of the IAM role of masters.
# IAM role name; required
MASTER_IAM_ROLE=kubernetes-master

# Name of the IAM role of nodes.
# IAM role name; required
NODE_IAM_ROLE=kubernetes-node

# Network of the pods; each machine gets a /24 of it. Never changes after the cluster's creation.
# network (CIDR); optional
OVERLAY_NETWORK=10.244.0.0/16

# flannel's backend. host-gw needs all machines in one subnet. Never changes after the cluster's creation.
# choice vxlan|host-gw; optional
OVERLAY_BACKEND=vxlan

# Network of the services' addresses. Never changes after the cluster's creation.
# network (CIDR); optional
SERVICE_NETWORK=10.96.0.0/16

# DNS domain of the services. Never changes after the cluster's creation.
# domain name; optional
CLUSTER_DOMAIN=cluster.local

# What runs the pods, to be checked against what the AMI carries; empty: whatever that is. Never changes after the
# cluster's creation.
# choice docker|containerd; optional
CONTAINER_RUNTIME=

# Who makes cgroups, for the container runtime and kubelet alike; checked against the runtime. Empty: cgroupfs with
# docker, systemd with containerd.
# choice cgroupfs|systemd; optional
CGROUP_DRIVER=

# Kubernetes' own view of the cloud.
# choice none|aws|external; optional
CLOUD_PROVIDER=none

# How long a master waits for its volume before it gives up and says who holds it.
# seconds; optional
ATTACH_TIMEOUT_SECONDS=600

# How long a token lives with which a node asks for its certificate; renewed after half of it.
# seconds; optional
JOIN_TOKEN_SECONDS=86400

# A further name for the API server's certificate; applies at the cluster's creation only.
# domain name; optional
API_DNS_NAME=""

# CloudFormation stack, by name or id, that is told when the machine is ready or has failed.
# string; optional
STACK_NAME=""

# Logical id in that stack of the group that launched this instance.
# logical id; optional
STACK_RESOURCE=""
