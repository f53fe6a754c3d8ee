/* SPDX-License-Identifier: Apache-2.0 */
#include "config/key_check.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "config/networks.h"

/* Returns true for [a-z0-9]([a-z0-9EXTRA]*[a-z0-9])? of least..most characters. */
static bool is_label(const char *s, size_t least, size_t most, const char *extra)
{
        size_t n = strlen(s);
        if (n < least || n > most) {
                return false;
        }
        for (size_t i = 0; i < n; i++) {
                bool alnum = islower((unsigned char) s[i]) || isdigit((unsigned char) s[i]);
                bool inner = i > 0 && i + 1 < n && strchr(extra, s[i]);
                if (!alnum && !inner) {
                        return false;
                }
        }
        return true;
}

/* Returns true for "vol-" or a similar prefix, then 8 or 17 hexadecimal digits.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html */
static bool is_resource_id(const char *s, const char *prefix)
{
        if (!string_starts_with(s, prefix)) {
                return false;
        }
        const char *digits = s + strlen(prefix);
        size_t n = strspn(digits, "0123456789abcdef");
        return digits[n] == '\0' && (n == 8 || n == 17);
}

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool is_made_of(const char *s, const char *characters, size_t most)
{
        size_t n = strspn(s, characters);
        return s[n] == '\0' && n > 0 && n <= most;
}

static bool is_prefix(const char *s)
{
        size_t n = strlen(s);
        for (size_t i = 0; i < n; i++) {
                if (!isalnum((unsigned char) s[i]) && !strchr("-_./", s[i])) {
                        return false;
                }
        }
        return n > 0 && n <= 128 && s[0] != '/' && s[n - 1] != '/' && !strstr(s, "//") &&
               !strstr(s, "..");
}

static bool is_choice(const char *s, const char *choices)
{
        size_t n = strlen(s);
        for (const char *p = choices; n > 0 && !strchr(s, '|') && p;) {
                if (strncmp(p, s, n) == 0 && (p[n] == '|' || p[n] == '\0')) {
                        return true;
                }
                p = strchr(p, '|');
                p = p ? p + 1 : NULL;
        }
        return false;
}

static bool is_printable(const char *s)
{
        size_t n = 0;
        while (isgraph((unsigned char) s[n])) {
                n++;
        }
        return s[n] == '\0';
}

static bool is_domain(const char *s)
{
        return is_label(s, 1, 253, "-.") && !strstr(s, "..");
}

static bool is_duration(const char *s)
{
        uint64_t seconds;
        return string_parse_u64(s, 86400, &seconds) == 0 && seconds > 0;
}

static const char *expect(bool fits, const char *expected)
{
        return fits ? NULL : expected;
}

/* Returns NULL if the value has the form of its type, or what is expected instead. */
static const char *misfit(const ConfigKey *key, const char *value)
{
        struct in_addr in;
        switch (key->type) {
        case KEY_STRING:
                if (strlen(value) > 256) {
                        return "at most 256 characters";
                }
                return expect(is_printable(value), "printable characters without blanks");
        case KEY_NAME:
                return expect(is_label(value, 1, 63, "-"),
                              "lower-case letters, digits and hyphens, at most 63");
        /* https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html */
        case KEY_ROLE_NAME:
                return expect(is_made_of(value, ALNUM "+=,.@_-", 64),
                              "a role's name without its path: letters, digits and +=,.@_-, at "
                              "most 64");
        /* https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
         */
        case KEY_LOGICAL_ID:
                return expect(is_made_of(value, ALNUM, 255), "letters and digits");
        /* https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
        case KEY_BUCKET:
                return expect(is_label(value, 3, 63, "-.") && !strstr(value, ".."),
                              "a bucket's name");
        case KEY_PREFIX:
                return expect(is_prefix(value), "letters, digits, - _ . and single / within");
        case KEY_VOLUME_ID:
                return expect(is_resource_id(value, "vol-"), "vol- and 8 or 17 hex digits");
        case KEY_ALLOCATION_ID:
                return expect(is_resource_id(value, "eipalloc-"),
                              "eipalloc- and 8 or 17 hex digits");
        case KEY_IPV4:
                return expect(inet_pton(AF_INET, value, &in) == 1, "an IPv4 address");
        case KEY_ROLE:
        case KEY_CHOICE:
                return expect(is_choice(value, key->choices), key->choices);
        case KEY_DOMAIN:
                return expect(is_domain(value), "a lower-case DNS name");
        case KEY_SECONDS:
                return expect(is_duration(value), "1 to 86400 seconds");
        case KEY_CIDR: /* networks_check_value() */
                return NULL;
        case _KEY_TYPE_MAX:
        case _KEY_TYPE_INVALID:
                break;
        }
        return "nothing: this key's type is unknown";
}

/* Returns the name within "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE". RESOURCE is the name, or
 * a type, perhaps a path, and the name. Behind a bucket's name there may be the key of an object.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html */
static const char *name_in_arn(const char *arn, KeyType type, size_t *ret_n)
{
        const char *resource = arn;
        for (unsigned colons = 0; colons < 5; colons++) {
                const char *colon = strchr(resource, ':');
                if (!colon) {
                        break;
                }
                resource = colon + 1;
        }
        if (type == KEY_BUCKET) {
                *ret_n = strcspn(resource, "/");
                return resource;
        }
        for (const char *p = resource; *p; p++) {
                if (*p == '/' || *p == ':') {
                        resource = p + 1;
                }
        }
        *ret_n = strlen(resource);
        return resource;
}

int key_check_value(const ConfigKey *key, const char *value, Buffer *problem)
{
        size_t n = strlen(value);
        if (n > 0 && (isspace((unsigned char) value[0]) || isspace((unsigned char) value[n - 1]))) {
                return buffer_append_string(problem, "expected no blanks around it");
        }
        if (key->type != KEY_STRING && string_starts_with(value, "arn:")) {
                const char *name = name_in_arn(value, key->type, &n);
                return buffer_append_format(problem, "an ARN, expected the name %.*s", (int) n,
                                            name);
        }
        const char *expected = misfit(key, value);
        if (expected) {
                return buffer_append_format(problem, "expected %s", expected);
        }
        struct in_addr address;
        switch (key->type) {
        case KEY_CIDR:
                return networks_check_value(key->name, value, problem);
        case KEY_IPV4:
                (void) inet_pton(AF_INET, value, &address); /* misfit() has seen it */
                return networks_check_address(address, problem);
        default:
                return 0;
        }
}

/* Returns the number of letters to insert, take out or replace (Levenshtein), or `most` + 1 where
 * it is more. Letters of both cases are the same one. */
static size_t distance(const char *a, const char *b, size_t most)
{
        size_t row[KEY_NAME_MAX + 1], n = strlen(b);
        if (n > KEY_NAME_MAX) {
                return most + 1;
        }
        for (size_t j = 0; j <= n; j++) {
                row[j] = j;
        }
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];
                row[0] = i + 1;
                for (size_t j = 0; j < n; j++) {
                        bool same = toupper((unsigned char) a[i]) == toupper((unsigned char) b[j]);
                        size_t least = diagonal + !same;
                        diagonal = row[j + 1];
                        least = row[j] + 1 < least ? row[j] + 1 : least;
                        least = diagonal + 1 < least ? diagonal + 1 : least;
                        row[j + 1] = least;
                }
        }
        return row[n] > most ? most + 1 : row[n];
}

const ConfigKey *key_meant_by(const char *name)
{
        const ConfigKey *nearest = NULL;
        size_t least = SIZE_MAX;
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                size_t most = strlen(key->name) / 4, d = distance(name, key->name, most);
                if (d <= most && d < least) {
                        nearest = key;
                        least = d;
                }
        }
        return nearest;
}
