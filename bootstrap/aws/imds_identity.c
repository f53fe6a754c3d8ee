/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/imds.h"
#include "aws/imds_parse.h"

typedef bool Check(const char *value);

static int bad_value(const char *path, const char *value, Error *err)
{
        return error_from_aws(err, error_set(err, ERROR_CONFIG, EBADMSG,
                                             "instance metadata: %s is \"%.128s\"", path, value));
}

static int get_checked(Imds *imds, const char *path, Check *check, const Wait *wait, char *ret,
                       size_t size, Error *err)
{
        int r = imds_get_word(imds, path, wait, ret, size, err);
        if (r < 0) {
                return r;
        }
        return check(ret) ? 0 : bad_value(path, ret, err);
}

/* The first line, or word, of a value that need not be there: *ret is "" then. */
static int get_first(Imds *imds, const char *path, Check *check, const Wait *wait, char *ret,
                     size_t size, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = imds_get(imds, path, wait, &text, err);
        if (r < 0) {
                return r;
        }
        size_t n = r > 0 ? strcspn(text.data, " \n") : 0;
        ret[0] = '\0';
        if (n == 0) {
                return 0;
        }
        if (!imds_copy_word(text.data, n, ret, size) || !check(ret)) {
                return bad_value(path, text.data, err);
        }
        return 0;
}

static bool is_region(const char *s)
{
        return s[0] >= 'a' && s[0] <= 'z' &&
               strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* A tag may say anything; who reads it compares. */
static bool is_anything(const char *s)
{
        (void) s;
        return true;
}

static int get_interface(Imds *imds, const Wait *wait, ImdsInterface *interface, Error *err)
{
        char path[96], number[8];
        uint64_t value;
        int base = snprintf(path, sizeof(path), "meta-data/network/interfaces/macs/%s/",
                            interface->mac);
        char *leaf = path + base;
        size_t left = sizeof(path) - (size_t) base;

        (void) snprintf(leaf, left, "device-number");
        int r = imds_get_word(imds, path, wait, number, sizeof(number), err);
        if (r < 0) {
                return r;
        }
        if (string_parse_u64(number, 255, &value) < 0) {
                return bad_value(path, number, err);
        }
        interface->device_number = (unsigned) value;

        (void) snprintf(leaf, left, "interface-id");
        r = get_checked(imds, path, imds_is_interface_id, wait, interface->eni_id,
                        sizeof(interface->eni_id), err);
        if (r < 0) {
                return r;
        }
        /* An interface of an IPv6-only subnet has neither of these. */
        (void) snprintf(leaf, left, "subnet-ipv4-cidr-block");
        r = get_first(imds, path, imds_is_ipv4_cidr, wait, interface->subnet_cidr,
                      sizeof(interface->subnet_cidr), err);
        if (r < 0) {
                return r;
        }
        (void) snprintf(leaf, left, "local-ipv4s");
        return get_first(imds, path, imds_is_ipv4, wait, interface->primary_ip,
                         sizeof(interface->primary_ip), err);
}

static int compare_interfaces(const void *a, const void *b)
{
        const ImdsInterface *x = a, *y = b;
        return (x->device_number > y->device_number) - (x->device_number < y->device_number);
}

static int get_interfaces(Imds *imds, const Wait *wait, ImdsIdentity *identity, Error *err)
{
        static const char path[] = "meta-data/network/interfaces/macs/";
        _cleanup_buffer_ Buffer text = {};
        int r = imds_get(imds, path, wait, &text, err);
        if (r < 0) {
                return r;
        }
        r = imds_parse_macs(text.data ? text.data : "", text.size, identity->interfaces,
                            &identity->n_interfaces, err);
        if (r < 0) {
                return r;
        }
        if (identity->n_interfaces == 0) {
                return error_set(err, ERROR_RETRY, ENOENT, "instance metadata: there is no %s",
                                 path);
        }
        for (size_t i = 0; i < identity->n_interfaces; i++) {
                r = get_interface(imds, wait, &identity->interfaces[i], err);
                if (r < 0) {
                        return r;
                }
        }
        qsort(identity->interfaces, identity->n_interfaces, sizeof(identity->interfaces[0]),
              compare_interfaces);
        return 0;
}

int imds_identity(Imds *imds, const Wait *wait, ImdsIdentity *ret, Error *err)
{
        ImdsIdentity id = {};
        const struct {
                const char *path;
                Check *check;
                char *value;
                size_t size;
                bool optional;
        } values[] = {
                { "meta-data/instance-id", imds_is_instance_id, id.instance_id,
                  sizeof(id.instance_id) },
                { "meta-data/placement/region", is_region, id.region, sizeof(id.region) },
                { "meta-data/placement/availability-zone", is_region, id.zone, sizeof(id.zone) },
                { "meta-data/services/partition", is_region, id.partition, sizeof(id.partition) },
                { "meta-data/services/domain", imds_is_host_name, id.domain, sizeof(id.domain) },
                { "meta-data/local-ipv4", imds_is_ipv4, id.local_ip, sizeof(id.local_ip) },
                /* several where the VPC has several domain names: the first is the name */
                { "meta-data/local-hostname", imds_is_host_name, id.local_hostname,
                  sizeof(id.local_hostname), true },
                { "meta-data/iam/security-credentials/", imds_is_role_name, id.iam_role,
                  sizeof(id.iam_role), true },
                { "meta-data/tags/instance/KubernetesRole", is_anything, id.role_tag,
                  sizeof(id.role_tag), true },
        };
        FOREACH_ARRAY(v, values, ELEMENTS(values)) {
                int r = (v->optional ? get_first : get_checked)(imds, v->path, v->check, wait,
                                                                v->value, v->size, err);
                if (r < 0) {
                        return r;
                }
        }
        if (!imds_is_zone_of(id.zone, id.region)) {
                return error_set(err, ERROR_CONFIG, EBADMSG,
                                 "instance metadata: zone %s is not of region %s", id.zone,
                                 id.region);
        }
        if (!id.local_hostname[0]) {
                return error_set(err, ERROR_RETRY, ENOENT,
                                 "instance metadata: there is no meta-data/local-hostname");
        }
        int r = get_interfaces(imds, wait, &id, err);
        if (r < 0) {
                return r;
        }
        *ret = id;
        return 0;
}

int imds_account(Imds *imds, const Wait *wait, char ret[IMDS_ACCOUNT_MAX], Error *err)
{
        static const char path[] = "dynamic/instance-identity/document";
        _cleanup_buffer_ Buffer text = {};
        int r = imds_get(imds, path, wait, &text, err);
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ENOENT, "instance metadata: there is no %s",
                                 path);
        }
        return r < 0 ? r : imds_parse_account(text.data, text.size, ret, err);
}
