/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/join.h"

#include <errno.h>
#include <sys/random.h>

#include "cluster/csr.h"
#include "cluster/document.h"

#define WHAT "join.json"

/* A kubelet asks within moments of reading it. */
#define ALIVE_S 30

/* The document as the table of its fields has it. */
typedef struct Document {
        char token[24];
        char expires[24];
} Document;

static const DocumentField fields[] = {
        DOCUMENT_STRING(Document, token, DOCUMENT_TOKEN),
        DOCUMENT_STRING(Document, expires, DOCUMENT_TIME),
};

static void document_wipe(Document *document)
{
        explicit_bzero(document, sizeof(*document));
}

void join_token_done(JoinToken *token)
{
        explicit_bzero(token, sizeof(*token));
}

/* 32 characters, so that each byte gives one without a bias. */
static int random_text(char *ret, size_t n, Error *err)
{
        static const char alphabet[33] = "abcdefghijklmnopqrstuvwxyz234567";
        unsigned char bytes[32];
        if (n > sizeof(bytes) || getrandom(bytes, n, 0) != (ssize_t) n) {
                return error_set(err, ERROR_RETRY, EIO, "kernel gave no random bytes");
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

bool join_token_is_alive(const JoinToken *token, time_t now)
{
        return token->expires - now > ALIVE_S;
}

static void format_time(time_t when, char ret[24])
{
        struct tm tm;
        (void) strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm)); /* has room */
}

int join_document_format(const JoinToken *token, Secret *ret, Error *err)
{
        char expires[24];
        format_time(token->expires, expires);
        /* by hand, as a JSON library does not wipe what it frees */
        return buffer_append_format(ret,
                                    "{\n \"schema\": %d,\n \"token\": \"%s.%s\",\n"
                                    " \"expires\": \"%s\"\n}\n",
                                    DOCUMENT_SCHEMA, token->id, token->secret, expires) < 0
                       ? error_oom(err)
                       : 0;
}

static int read_token(const Document *document, JoinToken *ret, Error *err)
{
        struct tm tm = {};
        char again[24] = "";
        time_t expires = 0;
        if (strptime(document->expires, "%Y-%m-%dT%H:%M:%SZ", &tm)) {
                expires = timegm(&tm);
                format_time(expires, again);
        }
        size_t id = strcspn(document->token, ".");
        if (!streq(document->expires, again) || id != sizeof(ret->id) - 1 ||
            strcspn(document->token + id + 1, ".") != sizeof(ret->secret) - 1) {
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 WHAT ": token or time is not of its form");
        }
        memcpy(ret->id, document->token, id);
        ret->id[id] = '\0';
        memcpy(ret->secret, document->token + id + 1, sizeof(ret->secret));
        ret->expires = expires;
        return 0;
}

int join_document_parse(const void *data, size_t n, JoinToken *ret, Error *err)
{
        _cleanup_(document_wipe) Document document = {};
        _cleanup_json_ json_t *root = NULL;
        Error bad = {};
        int r = document_parse(WHAT, data, n, JOIN_DOCUMENT_BYTES_MAX, &root, &bad);
        if (r >= 0) {
                r = document_read(WHAT, root, fields, ELEMENTS(fields), 1, &document, &bad);
        }
        if (r < 0) {
                return error_set(err, ERROR_RETRY, bad.error, "%s", bad.message);
        }
        return read_token(&document, ret, err);
}

void join_secret_name(const JoinToken *token, char ret[32])
{
        (void) snprintf(ret, 32, "bootstrap-token-%s", token->id); /* has room */
}

int join_secret_format(const JoinToken *token, bool master, Secret *ret, Error *err)
{
        char name[32], expires[24];
        join_secret_name(token, name);
        format_time(token->expires, expires);
        return buffer_append_format(
                       ret,
                       "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"type\":\"" JOIN_SECRET_TYPE
                       "\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"" JOIN_NAMESPACE
                       "\"},\"stringData\":{\"token-id\":\"%s\",\"token-secret\":\"%s\","
                       "\"expiration\":\"%s\",\"usage-bootstrap-authentication\":\"true\","
                       "\"auth-extra-groups\":\"" CSR_GROUP_NODE "%s\"}}",
                       name, token->id, token->secret, expires,
                       master ? "," CSR_GROUP_MASTER : "") < 0
                       ? error_oom(err)
                       : 0;
}
