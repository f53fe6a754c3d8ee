/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/document.h"

#include <errno.h>
#include <time.h>

#include "base/json.h"
#include "base/time.h"

#define DIGITS  "0123456789"
#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define HEX     DIGITS "abcdef"
#define LETTERS LOWER UPPER DIGITS

typedef struct Form {
        const char *help;
        const char *prefix;
        const char *alphabet;
        size_t min, max; /* length after the prefix */
} Form;

static const Form forms[_DOCUMENT_SYNTAX_MAX] = {
        [DOCUMENT_NUMBER] = { .help = "a whole number that is not too large" },
        [DOCUMENT_NAME] = { "a cluster's name", "", LOWER DIGITS "-", 1, 63 },
        [DOCUMENT_CLUSTER_ID] = { "32 hexadecimal digits", "", HEX, 32, 32 },
        [DOCUMENT_SHA256] = { "64 hexadecimal digits", "", HEX, 64, 64 },
        [DOCUMENT_VOLUME_ID] = { "a volume id", "vol-", HEX, 8, 17 },
        [DOCUMENT_INSTANCE_ID] = { "an instance id", "i-", HEX, 8, 17 },
        [DOCUMENT_UUID] = { "a UUID", "", HEX "-", 36, 36 },
        [DOCUMENT_LABEL] = { "letters, digits and hyphens", "", LETTERS "-", 1, 39 },
        [DOCUMENT_TIME] = { "a time like 2024-01-31T12:00:00Z", "", DIGITS "-:TZ", 20, 20 },
        [DOCUMENT_MODE] = { "four octal digits", "", "01234567", 4, 4 },
        [DOCUMENT_PATH] = { "a relative path", "", LETTERS "._-/", 1, 127 },
        [DOCUMENT_NETWORK] = { "a network like 10.244.0.0/16", "", DIGITS "./", 9, 18 },
        [DOCUMENT_DOMAIN] = { "a DNS name", "", LOWER DIGITS "-.", 1, 253 },
};

bool document_is(DocumentSyntax syntax, const char *s)
{
        const Form *form = &forms[syntax];
        if (!form->alphabet || !string_starts_with(s, form->prefix)) {
                return false;
        }
        s += strlen(form->prefix);
        size_t n = strlen(s);
        return n >= form->min && n <= form->max && strspn(s, form->alphabet) == n;
}

int document_parse(const char *what, const void *data, size_t n, size_t max_bytes, json_t **ret,
                   Error *err)
{
        if (n > max_bytes) {
                return error_set(err, ERROR_UNSAFE, EBADMSG, "%s is larger than %zu bytes", what,
                                 max_bytes);
        }
        json_error_t where;
        json_auto_t *root = json_loadb(data, n, JSON_REJECT_DUPLICATES, &where);
        if (!root) {
                enum json_error_code code = json_error_code(&where);
                if (code == json_error_out_of_memory) {
                        return error_oom(err);
                }
                return error_set(err, ERROR_UNSAFE, EBADMSG, "%s, line %d, column %d: %s", what,
                                 where.line, where.column,
                                 code == json_error_duplicate_key ? "a key appears twice"
                                                                  : "not JSON");
        }
        if (!json_is_object(root)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG, "%s is not a JSON object", what);
        }
        const json_t *schema = json_object_get(root, "schema");
        if (!json_is_integer(schema)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG, "%s has no schema number", what);
        }
        if (json_integer_value(schema) != DOCUMENT_SCHEMA) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 "%s has schema %lld, and this kube-bootstrap knows schema %d "
                                 "only: a newer one wrote it",
                                 what, (long long) json_integer_value(schema), DOCUMENT_SCHEMA);
        }
        *ret = TAKE(root);
        return 0;
}

static int bad_field(const char *what, const DocumentField *field, ErrorClass class, Error *err)
{
        return error_set(err, class, EBADMSG, "%s: %s is not %s", what, field->name,
                         forms[field->syntax].help);
}

/* Returns 1 if the object has the field, 0 if it lacks an optional one. */
static int document_read_field(const char *what, const json_t *object, const DocumentField *field,
                               void *ret, Error *err)
{
        char *place = (char *) ret + field->offset;
        const json_t *value = json_object_get(object, field->name);
        if (!value && field->optional) {
                *place = '\0';
                return 0;
        }
        if (!value) {
                return error_set(err, ERROR_UNSAFE, EBADMSG, "%s lacks %s", what, field->name);
        }
        if (field->syntax == DOCUMENT_NUMBER) {
                json_int_t number = json_integer_value(value);
                if (!json_is_integer(value) || number < 0 || (uint64_t) number > field->max) {
                        return bad_field(what, field, ERROR_UNSAFE, err);
                }
                *(uint64_t *) (void *) place = (uint64_t) number;
                return 1;
        }
        const char *s = json_string_value(value);
        if (!s || !document_is(field->syntax, s) || strlen(s) >= field->size) {
                return bad_field(what, field, ERROR_UNSAFE, err);
        }
        memcpy(place, s, strlen(s) + 1);
        return 1;
}

int document_read(const char *what, const json_t *object, const DocumentField *fields, size_t n,
                  size_t n_further, void *ret, Error *err)
{
        if (!json_is_object(object)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG, "%s is not a JSON object", what);
        }
        size_t known = n_further;
        FOREACH_ARRAY(field, fields, n) {
                int r = document_read_field(what, object, field, ret, err);
                if (r < 0) {
                        return r;
                }
                known += (size_t) r;
        }
        if (json_object_size(object) != known) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 "%s has a field that schema %d does not know", what,
                                 DOCUMENT_SCHEMA);
        }
        return 0;
}

int document_write(const char *what, const DocumentField *fields, size_t n, const void *value,
                   json_t *object, Error *err)
{
        FOREACH_ARRAY(field, fields, n) {
                const char *place = (const char *) value + field->offset;
                json_t *item = NULL;
                if (field->syntax == DOCUMENT_NUMBER) {
                        uint64_t number = *(const uint64_t *) (const void *) place;
                        if (number > field->max) {
                                return bad_field(what, field, ERROR_FATAL, err);
                        }
                        item = json_integer((json_int_t) number);
                } else if (field->optional && !*place) {
                        continue;
                } else if (!document_is(field->syntax, place)) {
                        return bad_field(what, field, ERROR_FATAL, err);
                } else {
                        item = json_string(place);
                }
                if (json_object_set_new(object, field->name, item) < 0) {
                        return error_oom(err);
                }
        }
        return 0;
}

int document_dump(const json_t *object, Buffer *ret, Error *err)
{
        int r = json_write(object, JSON_INDENT(1), ret, err);
        if (r < 0) {
                return r;
        }
        return buffer_append_string(ret, "\n") < 0 ? error_oom(err) : 0;
}

void document_now(char ret[24])
{
        char text[TIME_TEXT_MAX];
        time_format(time(NULL), text);
        (void) snprintf(ret, 24, "%.23s", text);
}
