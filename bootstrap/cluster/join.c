/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/join.h"

#include <errno.h>

#include "base/random.h"
#include "base/time.h"
#include "cluster/csr.h"
#include "cluster/document.h"

#define WHAT "join.json"

/* A token is alive if more than this time is left: a kubelet uses a token within moments after
 * reading it. */
#define ALIVE_S 30

/* The part of the document that is no secret. */
typedef struct Document {
        char expires[24];
} Document;

static const DocumentField fields[] = {
        DOCUMENT_STRING(Document, expires, DOCUMENT_TIME),
};

void join_token_done(JoinToken *token)
{
        explicit_bzero(token, sizeof(*token));
}

/* Writes n random characters. The alphabet has 32, so that each byte gives one without a bias. */
static int random_text(char *ret, size_t n, Error *err)
{
        static const char alphabet[33] = "abcdefghijklmnopqrstuvwxyz234567";
        unsigned char bytes[32];
        if (n > sizeof(bytes)) {
                return error_set(err, ERROR_FATAL, EINVAL, "random text of %zu characters", n);
        }
        int r = random_bytes(bytes, n, err);
        if (r < 0) {
                return r;
        }
        for (size_t i = 0; i < n; i++) {
                ret[i] = alphabet[bytes[i] % 32];
        }
        ret[n] = '\0';
        explicit_bzero(bytes, sizeof(bytes));
        return 0;
}

int join_token_new(time_t now, unsigned life_s, JoinToken *ret, Error *err)
{
        _cleanup_join_token_ JoinToken token = { .expires = now + (time_t) life_s };
        int r = random_text(token.id, sizeof(token.id) - 1, err);
        if (r >= 0) {
                r = random_text(token.secret, sizeof(token.secret) - 1, err);
        }
        if (r < 0) {
                return r;
        }
        *ret = token;
        return 0;
}

bool join_token_is_fresh(const JoinToken *token, time_t now, unsigned life_s)
{
        return token->expires - now >= (time_t) life_s / 2;
}

time_t join_token_left_s(const JoinToken *token, time_t now)
{
        return token->expires - now - ALIVE_S;
}

bool join_token_is_alive(const JoinToken *token, time_t now)
{
        return join_token_left_s(token, now) > 0;
}

int join_document_format(const JoinToken *token, Secret *ret, Error *err)
{
        char expires[TIME_TEXT_MAX];
        time_format(token->expires, expires);
        json_auto_t *document = json_pack("{s:i, s:s++, s:s}", "schema", DOCUMENT_SCHEMA, "token",
                                          token->id, ".", token->secret, "expires", expires);
        return document_dump(document, ret, err);
}

/* Splits a token: six characters, a dot, sixteen more. Returns false for any other text. */
static bool split_token(const char *text, JoinToken *ret)
{
        static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
        const size_t id = sizeof(ret->id) - 1, secret = sizeof(ret->secret) - 1;
        if (!text || strspn(text, alphabet) != id || text[id] != '.' ||
            strspn(text + id + 1, alphabet) != secret || text[id + 1 + secret]) {
                return false;
        }
        memcpy(ret->id, text, id);
        ret->id[id] = '\0';
        memcpy(ret->secret, text + id + 1, secret + 1);
        return true;
}

/* Takes only what time_format() writes: one text for one time. */
static bool parse_time(const char *text, time_t *ret)
{
        struct timespec time;
        char again[TIME_TEXT_MAX];
        if (time_parse(text, &time) < 0) {
                return false;
        }
        *ret = time.tv_sec;
        time_format(*ret, again);
        return streq(text, again);
}

int join_document_parse(const void *data, size_t n, JoinToken *ret, Error *err)
{
        Document document = {};
        _cleanup_join_token_ JoinToken token = {};
        json_auto_t *root = NULL;
        Error bad = {};
        int r = document_parse(WHAT, data, n, JOIN_DOCUMENT_BYTES_MAX, &root, &bad);
        if (r >= 0) { /* besides: schema and token */
                r = document_read(WHAT, root, fields, ELEMENTS(fields), 2, &document, &bad);
        }
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        if (r < 0) {
                return error_set(err, ERROR_RETRY, bad.error, "%s", bad.message);
        }
        if (!split_token(json_string_value(json_object_get(root, "token")), &token) ||
            !parse_time(document.expires, &token.expires)) {
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 WHAT ": token or time is not of its form");
        }
        *ret = token;
        return 0;
}

void join_secret_name(const JoinToken *token, char ret[32])
{
        (void) snprintf(ret, 32, "bootstrap-token-%s", token->id); /* has room */
}

json_t *join_secret_new(const JoinToken *token)
{
        char name[32], expires[TIME_TEXT_MAX];
        join_secret_name(token, name);
        time_format(token->expires, expires);
        return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}}", "apiVersion",
                         "v1", "kind", "Secret", "type", JOIN_SECRET_TYPE, "metadata", "name", name,
                         "namespace", JOIN_NAMESPACE, "stringData", "token-id", token->id,
                         "token-secret", token->secret, "expiration", expires,
                         "usage-bootstrap-authentication", "true", "auth-extra-groups",
                         CSR_GROUP_NODE);
}
