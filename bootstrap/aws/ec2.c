/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/ec2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aws/ec2_internal.h"
#include "aws/query.h"
#include "base/string.h"

static const QueryApi api = { "ec2", "2016-11-15" };

/* Makes a change, and checks that the reply reports it as done. */
static int ec2_change(AwsClient *client, const char *operation, const char *resource,
                      const QueryParameter *parameters, size_t n, const Wait *wait, Error *err)
{
        _cleanup_xml_ XmlNode *root = NULL;
        int r = query_call(client, &api, operation, resource, parameters, n, wait, &root, err);
        if (r < 0) {
                return r;
        }
        r = ec2_parse_return(root, err);
        return r < 0 ? error_prefix(err, "ec2:%s on %s", operation, resource) : 0;
}

int ec2_describe_volume(AwsClient *client, const char *volume_id, const Wait *wait, Ec2Volume *ret,
                        Error *err)
{
        const QueryParameter parameters[] = { { "VolumeId.1", volume_id } };
        _cleanup_xml_ XmlNode *root = NULL;
        int r = query_call(client, &api, "DescribeVolumes", volume_id, parameters,
                           ELEMENTS(parameters), wait, &root, err);
        return r < 0 ? r : ec2_parse_volume(root, volume_id, ret, err);
}

int ec2_attach_volume(AwsClient *client, const char *volume_id, const char *instance_id,
                      const char *device, const Wait *wait, Error *err)
{
        const QueryParameter parameters[] = {
                { "VolumeId", volume_id },
                { "InstanceId", instance_id },
                { "Device", device },
        };
        return ec2_change(client, "AttachVolume", volume_id, parameters, ELEMENTS(parameters), wait,
                          err);
}

int ec2_detach_volume(AwsClient *client, const char *volume_id, const char *instance_id, bool force,
                      const Wait *wait, Error *err)
{
        const QueryParameter parameters[] = {
                { "VolumeId", volume_id },
                { "InstanceId", instance_id },
                { "Force", force ? "true" : "false" },
        };
        return ec2_change(client, "DetachVolume", volume_id, parameters, ELEMENTS(parameters), wait,
                          err);
}

int ec2_describe_instance_state(AwsClient *client, const char *instance_id, const Wait *wait,
                                char ret[24], Error *err)
{
        const QueryParameter parameters[] = { { "InstanceId.1", instance_id } };
        _cleanup_xml_ XmlNode *root = NULL;
        Error failed = {};
        int r = query_call(client, &api, "DescribeInstances", instance_id, parameters,
                           ELEMENTS(parameters), wait, &root, &failed);
        if (r < 0 && streq(failed.aws_code, "InvalidInstanceID.NotFound")) {
                return 0;
        }
        if (r < 0) {
                *err = failed;
                return r;
        }
        return ec2_parse_instance_state(root, ret, err);
}

/* Writes a filter for a name: the host's label and any domain. Filters are case-sensitive, and a
 * domain may have capitals. The caller compares the reply with the whole name. */
static void make_pattern(const char *name, char *ret, size_t size)
{
        const char *dot = strchr(name, '.');
        if (!dot) {
                (void) snprintf(ret, size, "%s", name);
                return;
        }
        (void) snprintf(ret, size, "%.*s*", (int) (dot + 1 - name), name);
}

/* The filters before the names. Another VPC may use the same addresses, and so the same names. */
#define SCOPE_PARAMETERS 5

int ec2_find_instances_by_name(AwsClient *client, const char *cluster, const char *vpc_id,
                               const char *const *names, size_t n, const Wait *wait,
                               Ec2Instance *ret, Error *err)
{
        char value_names[EC2_NAMES_MAX][32], patterns[EC2_NAMES_MAX][256];
        QueryParameter parameters[SCOPE_PARAMETERS + EC2_NAMES_MAX] = {
                { "Filter.1.Name", "tag:" EC2_TAG_CLUSTER },
                { "Filter.1.Value.1", cluster },
                { "Filter.2.Name", "vpc-id" },
                { "Filter.2.Value.1", vpc_id },
                { "Filter.3.Name", "network-interface.private-dns-name" },
        };
        if (n == 0 || n > EC2_NAMES_MAX) {
                return error_set(err, ERROR_FATAL, EINVAL, "ec2:DescribeInstances of %zu names", n);
        }
        for (size_t i = 0; i < n; i++) {
                (void) snprintf(value_names[i], sizeof(value_names[i]), "Filter.3.Value.%zu",
                                i + 1);
                make_pattern(names[i], patterns[i], sizeof(patterns[i]));
                parameters[SCOPE_PARAMETERS + i] = (QueryParameter) { value_names[i], patterns[i] };
        }
        _cleanup_xml_ XmlNode *root = NULL;
        int r = query_call(client, &api, "DescribeInstances", names[0], parameters,
                           SCOPE_PARAMETERS + n, wait, &root, err);
        return r < 0 ? r : ec2_parse_named_instances(root, names, n, ret, err);
}

bool ec2_interface_has(const Ec2Interface *interface, struct in_addr address)
{
        char text[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &address, text, sizeof(text)); /* always fits */
        for (size_t i = 0; i < interface->n_addresses; i++) {
                if (streq(interface->addresses[i], text)) {
                        return true;
                }
        }
        return false;
}

int ec2_describe_interfaces(AwsClient *client, const char *const *eni_ids, size_t n,
                            const Wait *wait, Ec2Interface *ret, Error *err)
{
        char names[EC2_INTERFACES_MAX][32];
        QueryParameter parameters[EC2_INTERFACES_MAX];
        if (n == 0 || n > EC2_INTERFACES_MAX) {
                return error_set(err, ERROR_FATAL, EINVAL, "ec2:DescribeNetworkInterfaces of %zu",
                                 n);
        }
        for (size_t i = 0; i < n; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "NetworkInterfaceId.%zu", i + 1);
                parameters[i] = (QueryParameter) { names[i], eni_ids[i] };
        }
        _cleanup_xml_ XmlNode *root = NULL;
        int r = query_call(client, &api, "DescribeNetworkInterfaces", eni_ids[0], parameters, n,
                           wait, &root, err);
        return r < 0 ? r : ec2_parse_interfaces(root, eni_ids, n, ret, err);
}

int ec2_find_interface_by_address(AwsClient *client, const char *subnet_id, const char *address,
                                  const Wait *wait, Ec2Interface *ret, Error *err)
{
        /* Each address of a VPC belongs to exactly one subnet, so this filter misses no
         * interface. */
        const QueryParameter parameters[] = {
                { "Filter.1.Name", "subnet-id" },
                { "Filter.1.Value.1", subnet_id },
                { "Filter.2.Name", "addresses.private-ip-address" },
                { "Filter.2.Value.1", address },
        };
        _cleanup_xml_ XmlNode *root = NULL;
        int r = query_call(client, &api, "DescribeNetworkInterfaces", address, parameters,
                           ELEMENTS(parameters), wait, &root, err);
        return r < 0 ? r : ec2_parse_first_interface(root, ret, err);
}

int ec2_set_source_dest_check(AwsClient *client, const char *eni_id, bool value, const Wait *wait,
                              Error *err)
{
        const QueryParameter parameters[] = {
                { "NetworkInterfaceId", eni_id },
                { "SourceDestCheck.Value", value ? "true" : "false" },
        };
        return ec2_change(client, "ModifyNetworkInterfaceAttribute", eni_id, parameters,
                          ELEMENTS(parameters), wait, err);
}

int ec2_assign_private_address(AwsClient *client, const char *eni_id, const char *address,
                               const Wait *wait, Error *err)
{
        const QueryParameter parameters[] = {
                { "NetworkInterfaceId", eni_id },
                { "PrivateIpAddress.1", address },
                { "AllowReassignment", "true" },
        };
        return ec2_change(client, "AssignPrivateIpAddresses", eni_id, parameters,
                          ELEMENTS(parameters), wait, err);
}

int ec2_describe_address(AwsClient *client, const char *allocation_id, const Wait *wait,
                         Ec2Address *ret, Error *err)
{
        const QueryParameter parameters[] = { { "AllocationId.1", allocation_id } };
        _cleanup_xml_ XmlNode *root = NULL;
        int r = query_call(client, &api, "DescribeAddresses", allocation_id, parameters,
                           ELEMENTS(parameters), wait, &root, err);
        return r < 0 ? r : ec2_parse_address(root, allocation_id, ret, err);
}

int ec2_associate_address(AwsClient *client, const char *allocation_id, const char *eni_id,
                          const char *private_ip, const Wait *wait, Error *err)
{
        const QueryParameter parameters[] = {
                { "AllocationId", allocation_id },
                { "NetworkInterfaceId", eni_id },
                { "PrivateIpAddress", private_ip },
                { "AllowReassociation", "true" },
        };
        return ec2_change(client, "AssociateAddress", allocation_id, parameters,
                          ELEMENTS(parameters), wait, err);
}
