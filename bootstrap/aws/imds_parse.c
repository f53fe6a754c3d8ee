/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/imds_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/network.h"
#include "base/time.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."

bool imds_is_markup(const char *body, size_t n)
{
        static const char *const beginnings[] = { "<!doctype", "<html", "<?xml", "<head", "<body" };
        while (n > 0 && isspace((unsigned char) *body)) {
                body++;
                n--;
        }
        FOREACH_ARRAY(b, beginnings, ELEMENTS(beginnings)) {
                if (n >= strlen(*b) && strncasecmp(body, *b, strlen(*b)) == 0) {
                        return true;
                }
        }
        return false;
}

bool imds_copy_word(const char *text, size_t n, char *ret, size_t size)
{
        if (n == 0 || n >= size) {
                return false;
        }
        for (size_t i = 0; i < n; i++) {
                if (text[i] <= ' ' || text[i] > '~') {
                        return false;
                }
        }
        memcpy(ret, text, n);
        ret[n] = '\0';
        return true;
}

/* Returns true for an id with this prefix: "i-0123456789abcdef0", or the older form with eight
 * digits. */
static bool is_id(const char *s, const char *prefix)
{
        if (!string_starts_with(s, prefix)) {
                return false;
        }
        s += strlen(prefix);
        size_t n = strspn(s, "0123456789abcdef");
        return !s[n] && (n == 8 || n == 17);
}

bool imds_is_instance_id(const char *s)
{
        return is_id(s, "i-");
}

bool imds_is_interface_id(const char *s)
{
        return is_id(s, "eni-");
}

bool imds_is_mac(const char *s)
{
        for (size_t i = 0; i < 17; i++) {
                if (i % 3 == 2 ? s[i] != ':'
                               : !isdigit((unsigned char) s[i]) && !(s[i] >= 'a' && s[i] <= 'f')) {
                        return false;
                }
        }
        return !s[17];
}

bool imds_is_ipv4(const char *s)
{
        struct in_addr a;
        return inet_pton(AF_INET, s, &a) == 1;
}

bool imds_is_ipv4_cidr(const char *s)
{
        Network network;
        return network_parse(s, &network) >= 0;
}

/* Returns true if the zone is in the region. A region must end with its number, so that one that
 * was cut short does not match. us-east-1 has us-east-1a, and us-west-2 has the local zone
 * us-west-2-lax-1a.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html */
bool imds_is_zone_of(const char *zone, const char *region)
{
        size_t n = strlen(region);
        return n > 2 && region[n - 2] == '-' && isdigit((unsigned char) region[n - 1]) &&
               string_starts_with(zone, region) && zone[n] &&
               strspn(zone, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(zone);
}

bool imds_is_host_name(const char *s)
{
        return isalnum((unsigned char) s[0]) && strspn(s, NAME_CHARACTERS) == strlen(s);
}

/* https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html */
bool imds_is_role_name(const char *s)
{
        size_t n = strspn(s, NAME_CHARACTERS "_+=,@");
        return !s[n] && n >= 1 && n <= 64;
}

int imds_parse_macs(const char *text, size_t n, ImdsInterface ret[IMDS_INTERFACES_MAX],
                    size_t *ret_n, Error *err)
{
        size_t found = 0;
        for (size_t at = 0; at < n;) {
                const char *line = text + at, *end = memchr(line, '\n', n - at);
                size_t length = end ? (size_t) (end - line) : n - at;
                at += length + 1;
                if (length == 0) {
                        continue;
                }
                length -= line[length - 1] == '/';
                if (found == IMDS_INTERFACES_MAX) {
                        return error_set(err, ERROR_CONFIG, E2BIG,
                                         "instance metadata: more than %d network interfaces",
                                         IMDS_INTERFACES_MAX);
                }
                if (!imds_copy_word(line, length, ret[found].mac, sizeof(ret[found].mac)) ||
                    !imds_is_mac(ret[found].mac)) {
                        return error_set(err, ERROR_CONFIG, EBADMSG,
                                         "instance metadata: network/interfaces/macs/ has a line "
                                         "that is no MAC address");
                }
                found++;
        }
        *ret_n = found;
        return 0;
}

int imds_parse_account(const char *text, size_t n, char ret[IMDS_ACCOUNT_MAX], Error *err)
{
        json_auto_t *root = json_loadb(strempty(text), n, JSON_REJECT_DUPLICATES, NULL);
        const char *id = json_string_value(json_object_get(root, "accountId"));
        if (!id || strspn(id, "0123456789") != IMDS_ACCOUNT_MAX - 1 || id[IMDS_ACCOUNT_MAX - 1]) {
                return error_set(
                        err, ERROR_RETRY, EBADMSG,
                        "instance metadata: the identity document has no proper accountId");
        }
        memcpy(ret, id, IMDS_ACCOUNT_MAX);
        return 0;
}

static int bad_document(Error *err, const char *what)
{
        return error_set(err, ERROR_RETRY, EBADMSG,
                         "instance metadata: the role's credentials document %s", what);
}

static int imds_parse_copy_secret(const json_t *root, const char *key, bool optional, Secret *ret,
                                  Error *err)
{
        const json_t *value = json_object_get(root, key);
        const char *text = json_string_value(value);
        size_t n = json_string_length(value);
        if (optional && n == 0) {
                return 0;
        }
        for (size_t i = 0; i < n; i++) {
                if (text[i] <= ' ' || text[i] > '~') {
                        n = 0; /* it becomes part of a header: only printable text is allowed */
                }
        }
        if (n == 0 || n > 16384) {
                char what[64];
                (void) snprintf(what, sizeof(what), "has no proper %s", key);
                return bad_document(err, what);
        }
        *ret = SECRET_INIT;
        return buffer_append(ret, text, n) < 0 ? error_oom(err) : 0;
}

static int parse_expiration(const char *text, int64_t *ret)
{
        struct timespec expiration;
        if (time_parse(text, &expiration) < 0 || expiration.tv_sec == 0) {
                return -EINVAL;
        }
        *ret = expiration.tv_sec;
        return 0;
}

static int fill_keys(const json_t *root, AwsKeys *keys, Error *err)
{
        const json_t *id = json_object_get(root, "AccessKeyId");
        if (!json_is_string(id) ||
            !imds_copy_word(json_string_value(id), json_string_length(id), keys->access_key_id,
                            sizeof(keys->access_key_id)) ||
            strchr(keys->access_key_id, '/')) {
                return bad_document(err, "has no proper AccessKeyId");
        }
        if (parse_expiration(json_string_value(json_object_get(root, "Expiration")),
                             &keys->expires) < 0) {
                return bad_document(err, "has no proper Expiration");
        }
        int r = imds_parse_copy_secret(root, "SecretAccessKey", false, &keys->secret_access_key,
                                       err);
        return r < 0 ? r : imds_parse_copy_secret(root, "Token", true, &keys->session_token, err);
}

int imds_parse_credentials(const char *text, size_t n, AwsKeys *ret, Error *err)
{
        json_auto_t *root = json_loadb(strempty(text), n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(root)) {
                return bad_document(err, "is no JSON object");
        }
        const char *code = strempty(json_string_value(json_object_get(root, "Code")));
        if (!streq(code, "Success")) {
                char word[64];
                if (!imds_copy_word(code, strlen(code), word, sizeof(word))) {
                        return bad_document(err, "has no proper Code");
                }
                return error_from_aws(
                        err,
                        error_set(err, ERROR_CONFIG, EACCES,
                                  "instance metadata: the role's credentials are \"%s\": check "
                                  "the instance profile, its role, and that the role trusts "
                                  "EC2",
                                  word));
        }
        _cleanup_aws_keys_ AwsKeys keys = {};
        int r = fill_keys(root, &keys, err);
        if (r < 0) {
                return r;
        }
        *ret = keys;
        keys = (AwsKeys) {};
        return 0;
}
