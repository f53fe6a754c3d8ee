/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/ec2_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int bad_reply(Error *err, const char *what)
{
        return error_set(err, ERROR_RETRY, EBADMSG, "EC2's reply: %s", what);
}

/* One field's place in a struct. */
typedef struct Field {
        const char *path;
        char *value;
        size_t size;
        bool needed;
} Field;

static int copy_field(const XmlNode *node, Field field, Error *err)
{
        const char *text = xml_text(node, field.path);
        size_t length = strlen(text);
        if (length >= field.size) {
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 "EC2's reply: %s is longer than %zu characters", field.path,
                                 field.size - 1);
        }
        if (length == 0 && field.needed) {
                return error_set(err, ERROR_RETRY, EBADMSG, "EC2's reply: no %s", field.path);
        }
        memcpy(field.value, text, length + 1);
        return 0;
}

static int copy_fields(const XmlNode *node, const Field *fields, size_t n, Error *err)
{
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++) {
                r = copy_field(node, fields[i], err);
        }
        return r;
}

static int copy_bool(const XmlNode *node, const char *path, bool absent, bool *ret, Error *err)
{
        const char *text = xml_text(node, path);
        if (!*text) {
                *ret = absent;
        } else if (streq(text, "true") || streq(text, "false")) {
                *ret = *text == 't';
        } else {
                return error_set(err, ERROR_RETRY, EBADMSG, "EC2's reply: %s is \"%.32s\"", path,
                                 text);
        }
        return 0;
}

/* Returns the "item" of a set whose text at `path` is `value`, or NULL. */
static const XmlNode *find_item(const XmlNode *root, const char *set, const char *path,
                                const char *value)
{
        const XmlNode *items = xml_find(root, set);
        for (const XmlNode *item = items ? items->first_child : NULL; item; item = item->next) {
                if (streq(xml_text(item, path), value)) {
                        return item;
                }
        }
        return NULL;
}

/* Returns the attachment that holds the volume, or NULL. EC2 may still list one that has ended. */
static const XmlNode *find_attachment(const XmlNode *volume)
{
        const XmlNode *set = xml_find(volume, "attachmentSet");
        for (const XmlNode *item = set ? set->first_child : NULL; item; item = item->next) {
                if (!streq(xml_text(item, "status"), "detached")) {
                        return item;
                }
        }
        return NULL;
}

/* Copies what describes the volume itself. */
static int copy_volume(const XmlNode *node, Ec2Volume *volume, Error *err)
{
        const Field fields[] = {
                { "status", volume->state, sizeof(volume->state), true },
                { "availabilityZone", volume->zone, sizeof(volume->zone), true },
                { "snapshotId", volume->snapshot_id, sizeof(volume->snapshot_id) },
        };
        int r = copy_fields(node, fields, ELEMENTS(fields), err);
        if (r < 0) {
                return r;
        }
        r = copy_bool(node, "multiAttachEnabled", false, &volume->multi_attach, err);
        if (r < 0) {
                return r;
        }
        r = copy_bool(node, "encrypted", false, &volume->encrypted, err);
        if (r < 0) {
                return r;
        }
        const XmlNode *tag = find_item(node, "tagSet", "key", EC2_TAG_STACK_ID);
        if (tag) {
                const Field stack_id = { "value", volume->stack_id, sizeof(volume->stack_id) };
                r = copy_field(tag, stack_id, err);
                if (r < 0) {
                        return r;
                }
        }
        uint64_t size;
        if (string_parse_u64(xml_text(node, "size"), 1 << 20, &size) < 0) {
                return bad_reply(err, "the volume's size is no number");
        }
        volume->size_gib = (unsigned) size;
        return 0;
}

int ec2_parse_volume(const XmlNode *root, const char *volume_id, Ec2Volume *ret, Error *err)
{
        Ec2Volume volume = {};
        const XmlNode *node = find_item(root, "volumeSet", "volumeId", volume_id);
        if (!node) {
                return error_set(err, ERROR_RETRY, ENOENT, "EC2's reply does not hold volume %s",
                                 volume_id);
        }
        int r = copy_volume(node, &volume, err);
        if (r < 0) {
                return r;
        }
        const XmlNode *attachment = find_attachment(node);
        if (attachment) {
                const Field attached[] = {
                        { "instanceId", volume.attachment.instance_id,
                          sizeof(volume.attachment.instance_id), true },
                        { "device", volume.attachment.device, sizeof(volume.attachment.device) },
                        { "status", volume.attachment.state, sizeof(volume.attachment.state),
                          true },
                        { "attachTime", volume.attachment.since, sizeof(volume.attachment.since) },
                };
                r = copy_fields(attachment, attached, ELEMENTS(attached), err);
                if (r < 0) {
                        return r;
                }
                volume.attached = true;
        }
        *ret = volume;
        return 0;
}

int ec2_parse_instance_state(const XmlNode *root, char ret[24], Error *err)
{
        char state[24];
        const XmlNode *instance = xml_find(root, "reservationSet/item/instancesSet/item");
        if (!instance) {
                return 0;
        }
        const Field field = { "instanceState/name", state, sizeof(state), true };
        int r = copy_field(instance, field, err);
        if (r < 0) {
                return r;
        }
        memcpy(ret, state, sizeof(state));
        return 1;
}

static int parse_instance(const XmlNode *node, Ec2Instance *ret, Error *err)
{
        Ec2Instance instance = {};
        const Field fields[] = {
                { "instanceId", instance.instance_id, sizeof(instance.instance_id), true },
                { "instanceState/name", instance.state, sizeof(instance.state), true },
        };
        int r = copy_fields(node, fields, ELEMENTS(fields), err);
        if (r < 0) {
                return r;
        }
        const XmlNode *tag = find_item(node, "tagSet", "key", EC2_TAG_ROLE);
        const char *role = tag ? xml_text(tag, "value") : "";
        if (strlen(role) < sizeof(instance.role)) { /* a longer one is not ours */
                (void) snprintf(instance.role, sizeof(instance.role), "%s", role);
        }
        *ret = instance;
        return 0;
}

/* Returns the private DNS name of the primary interface, or "" if there is none. That is device 0
 * of network card 0; instance types with one card leave out the card's index. */
static const char *primary_name(const XmlNode *instance)
{
        const XmlNode *set = xml_find(instance, "networkInterfaceSet");
        for (const XmlNode *item = set ? set->first_child : NULL; item; item = item->next) {
                const char *card = xml_text(item, "attachment/networkCardIndex");
                if (streq(xml_text(item, "attachment/deviceIndex"), "0") &&
                    (!*card || streq(card, "0"))) {
                        return xml_text(item, "privateDnsName");
                }
        }
        return "";
}

/* Returns true if both names begin with the same label. */
static bool is_same_host(const char *a, const char *b)
{
        size_t n = strcspn(a, ".");
        return n > 0 && n == strcspn(b, ".") && strncasecmp(a, b, n) == 0;
}

/* Returns a higher number for a better match: the whole name before the host alone, then a running
 * instance before others. */
static unsigned rank(const Ec2Instance *instance)
{
        if (isempty(instance->instance_id)) {
                return 0;
        }
        unsigned by_name = instance->other_domain ? 1 : 3;
        return by_name + streq(instance->state, "running");
}

/* Stores an instance of the reply for each name that it matches, unless a better match is there. */
static int place_instance(const XmlNode *node, const char *const *names, size_t n, Ec2Instance *ret,
                          Error *err)
{
        const char *name = primary_name(node);
        for (size_t i = 0; i < n; i++) {
                if (!is_same_host(names[i], name)) {
                        continue;
                }
                Ec2Instance instance;
                int r = parse_instance(node, &instance, err);
                if (r < 0) {
                        return r;
                }
                instance.other_domain = strcasecmp(names[i], name) != 0;
                if (rank(&instance) >= rank(&ret[i])) {
                        ret[i] = instance;
                }
        }
        return 0;
}

int ec2_parse_named_instances(const XmlNode *root, const char *const *names, size_t n,
                              Ec2Instance *ret, Error *err)
{
        Ec2Instance found[EC2_NAMES_MAX] = {};
        const XmlNode *reservations = xml_find(root, "reservationSet");
        if (!reservations || n > ELEMENTS(found)) {
                return bad_reply(err, "no reservationSet");
        }
        if (*xml_text(root, "nextToken")) {
                return bad_reply(err, "only a part of the instances");
        }
        for (const XmlNode *r = reservations->first_child; r; r = r->next) {
                const XmlNode *set = xml_find(r, "instancesSet");
                for (const XmlNode *item = set ? set->first_child : NULL; item; item = item->next) {
                        int result = place_instance(item, names, n, found, err);
                        if (result < 0) {
                                return result;
                        }
                }
        }
        memcpy(ret, found, n * sizeof(*ret));
        return 0;
}

static int parse_interface(const XmlNode *node, Ec2Interface *ret, Error *err)
{
        Ec2Interface interface = {};
        const Field fields[] = {
                { "networkInterfaceId", interface.eni_id, sizeof(interface.eni_id), true },
                { "subnetId", interface.subnet_id, sizeof(interface.subnet_id), true },
                { "vpcId", interface.vpc_id, sizeof(interface.vpc_id) },
                { "macAddress", interface.mac, sizeof(interface.mac) },
                { "privateDnsName", interface.private_dns_name,
                  sizeof(interface.private_dns_name) },
                { "attachment/instanceId", interface.instance_id, sizeof(interface.instance_id) },
                { "privateIpAddress", interface.primary_ip, sizeof(interface.primary_ip) },
        };
        int r = copy_fields(node, fields, ELEMENTS(fields), err);
        if (r < 0) {
                return r;
        }
        /* sourceDestCheck may only be absent where there are no IPv4 packets to check. */
        if (!*xml_text(node, "sourceDestCheck") && interface.primary_ip[0]) {
                return bad_reply(err, "no sourceDestCheck");
        }
        r = copy_bool(node, "sourceDestCheck", false, &interface.source_dest_check, err);
        if (r < 0) {
                return r;
        }
        /* EFA-only interfaces carry no IP packets at all. */
        interface.source_dest_check &= !streq(xml_text(node, "interfaceType"), "efa-only");
        const XmlNode *set = xml_find(node, "privateIpAddressesSet");
        for (const XmlNode *item = set ? set->first_child : NULL; item; item = item->next) {
                if (interface.n_addresses == EC2_ADDRESSES_MAX) {
                        return bad_reply(err, "an interface has more addresses than this handles");
                }
                const Field address = { "privateIpAddress",
                                        interface.addresses[interface.n_addresses++],
                                        sizeof(interface.addresses[0]), true };
                r = copy_field(item, address, err);
                if (r < 0) {
                        return r;
                }
        }
        *ret = interface;
        return 0;
}

int ec2_parse_interfaces(const XmlNode *root, const char *const *eni_ids, size_t n,
                         Ec2Interface *ret, Error *err)
{
        for (size_t i = 0; i < n; i++) {
                const XmlNode *node =
                        find_item(root, "networkInterfaceSet", "networkInterfaceId", eni_ids[i]);
                if (!node) {
                        return error_set(err, ERROR_RETRY, ENOENT,
                                         "EC2's reply does not hold interface %s", eni_ids[i]);
                }
                int r = parse_interface(node, &ret[i], err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int ec2_parse_first_interface(const XmlNode *root, Ec2Interface *ret, Error *err)
{
        const XmlNode *node = xml_find(root, "networkInterfaceSet/item");
        if (!node) {
                return xml_find(root, "networkInterfaceSet")
                               ? 0
                               : bad_reply(err, "no networkInterfaceSet");
        }
        int r = parse_interface(node, ret, err);
        return r < 0 ? r : 1;
}

int ec2_parse_address(const XmlNode *root, const char *allocation_id, Ec2Address *ret, Error *err)
{
        Ec2Address address = {};
        const XmlNode *node = find_item(root, "addressesSet", "allocationId", allocation_id);
        if (!node) {
                return error_set(err, ERROR_RETRY, ENOENT, "EC2's reply does not hold address %s",
                                 allocation_id);
        }
        const Field fields[] = {
                { "publicIp", address.public_ip, sizeof(address.public_ip), true },
                { "allocationId", address.allocation_id, sizeof(address.allocation_id), true },
                { "associationId", address.association_id, sizeof(address.association_id) },
                { "instanceId", address.instance_id, sizeof(address.instance_id) },
                { "networkInterfaceId", address.eni_id, sizeof(address.eni_id) },
                { "privateIpAddress", address.private_ip, sizeof(address.private_ip) },
        };
        int r = copy_fields(node, fields, ELEMENTS(fields), err);
        if (r < 0) {
                return r;
        }
        *ret = address;
        return 0;
}

int ec2_parse_return(const XmlNode *root, Error *err)
{
        bool done = true;
        int r = copy_bool(root, "return", true, &done, err);
        if (r < 0) {
                return r;
        }
        return done ? 0 : error_set(err, ERROR_RETRY, EAGAIN, "EC2 says that it was not done");
}
