/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aws/imds.h"
#include "aws/imds_internal.h"

typedef bool Check(const char *value);

static int imds_identity_bad_value(const char *path, const char *value, Error *err)
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
        return check(ret) ? 0 : imds_identity_bad_value(path, ret, err);
}

/* Reads the first word of a value that may be missing; *ret is "" then. */
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
                return imds_identity_bad_value(path, text.data, err);
        }
        return 0;
}

static bool is_region(const char *s)
{
        return s[0] >= 'a' && s[0] <= 'z' &&
               strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* Accepts any value: a tag may have any text, and the reader of the tag compares it. */
static bool is_anything(const char *s)
{
        (void) s;
        return true;
}

#define MACS "meta-data/network/interfaces/macs/"

/* Reads one value that IMDS has below one interface. */
static int get_of_interface(Imds *imds, const char *mac, const char *name, Check *check,
                            const Wait *wait, char *ret, size_t size, Error *err)
{
        char path[96];
        (void) snprintf(path, sizeof(path), MACS "%s/%s", mac, name);
        return get_checked(imds, path, check, wait, ret, size, err);
}

static int put_first(ImdsIdentity *identity, const char *mac, Error *err)
{
        FOREACH_ARRAY(i, identity->interfaces, identity->n_interfaces) {
                if (streq(i->mac, mac)) {
                        ImdsInterface primary = *i;
                        *i = identity->interfaces[0];
                        identity->interfaces[0] = primary;
                        return 0;
                }
        }
        return error_set(err, ERROR_RETRY, ENOENT,
                         "instance metadata: " MACS " does not list %s, which meta-data/mac names",
                         mac);
}

/* Reads all interfaces. The subnet's block is read for the primary interface only: others may have
 * no IPv4. */
static int get_interfaces(Imds *imds, const Wait *wait, ImdsIdentity *identity, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        char mac[18];
        int r = get_checked(imds, "meta-data/mac", imds_is_mac, wait, mac, sizeof(mac), err);
        if (r < 0) {
                return r;
        }
        r = imds_get(imds, MACS, wait, &text, err);
        if (r < 0) {
                return r;
        }
        r = imds_parse_macs(strempty(text.data), text.size, identity->interfaces,
                            &identity->n_interfaces, err);
        if (r < 0) {
                return r;
        }
        r = put_first(identity, mac, err);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(i, identity->interfaces, identity->n_interfaces) {
                r = get_of_interface(imds, i->mac, "interface-id", imds_is_interface_id, wait,
                                     i->eni_id, sizeof(i->eni_id), err);
                if (r < 0) {
                        return r;
                }
        }
        return get_of_interface(imds, mac, "subnet-ipv4-cidr-block", imds_is_ipv4_cidr, wait,
                                identity->subnet_cidr, sizeof(identity->subnet_cidr), err);
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
                { "meta-data/local-ipv4", imds_is_ipv4, id.local_ip, sizeof(id.local_ip), true },
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
        if (!id.local_ip[0]) {
                return error_set(err, ERROR_CONFIG, EAFNOSUPPORT,
                                 "this instance has no IPv4 address (IMDS has no "
                                 "meta-data/local-ipv4): the cluster's networks are IPv4; launch "
                                 "%s again in a subnet that has an IPv4 block",
                                 id.instance_id);
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
