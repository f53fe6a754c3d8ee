/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sigv4.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/time.h"

#define ALGORITHM         "AWS4-HMAC-SHA256"
#define QUERY_PARTS_MAX   128
#define PATH_SEGMENTS_MAX 256

/* A header as it is signed: lower-case name, value still as given. */
typedef struct SignedHeader {
        char name[128];
        const char *value;
        size_t position; /* equal names keep their order: qsort(3) is not stable */
} SignedHeader;

int sigv4_uri_encode(const char *s, bool keep_slash, Buffer *ret)
{
        static const char digits[] = "0123456789ABCDEF";
        for (const unsigned char *p = (const unsigned char *) s; *p; p++) {
                char encoded[3] = { (char) *p };
                size_t n = 1;
                if (!isalnum(*p) && !strchr("-._~", *p) && !(keep_slash && *p == '/')) {
                        encoded[0] = '%';
                        encoded[1] = digits[*p >> 4];
                        encoded[2] = digits[*p & 15];
                        n = 3;
                }
                int r = buffer_append(ret, encoded, n);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

/* Removes dot segments (RFC 3986 section 5.2.4), and also empty segments, as AWS does. */
static int normalize_path(const char *path, Buffer *ret)
{
        const char *segments[PATH_SEGMENTS_MAX];
        size_t lengths[PATH_SEGMENTS_MAX], n = 0;
        bool folder = true; /* ends with a slash */

        for (const char *p = path; *p;) {
                p += strspn(p, "/");
                size_t length = strcspn(p, "/");
                folder = p[length] == '/' || length == 0;
                if (length == 2 && strncmp(p, "..", 2) == 0) {
                        n -= n > 0;
                        folder = true;
                } else if (length == 1 && *p == '.') {
                        folder = true;
                } else if (length > 0) {
                        if (n == PATH_SEGMENTS_MAX) {
                                return -E2BIG;
                        }
                        segments[n] = p;
                        lengths[n++] = length;
                }
                p += length;
        }

        for (size_t i = 0; i < n; i++) {
                int r = buffer_append_string(ret, "/");
                if (r < 0) {
                        return r;
                }
                r = buffer_append(ret, segments[i], lengths[i]);
                if (r < 0) {
                        return r;
                }
        }
        return folder || n == 0 ? buffer_append_string(ret, "/") : 0;
}

/* Appends the canonical path and the end of its line. */
static int canonical_path(const Sigv4Request *request, Buffer *ret)
{
        _cleanup_buffer_ Buffer normal = {};
        const char *path = isempty(request->path) ? "/" : request->path;
        int r;
        if (request->normalize_path) {
                r = normalize_path(path, &normal);
                if (r < 0) {
                        return r;
                }
                path = normal.data;
        }
        r = request->double_encode_path ? sigv4_uri_encode(path, true, ret)
                                        : buffer_append_string(ret, path);
        return r < 0 ? r : buffer_append_string(ret, "\n");
}

/* Decodes s..end and appends it, encoded as AWS wants it. */
static int reencode(const char *s, const char *end, Buffer *ret)
{
        for (; s < end; s++) {
                char c[2] = { *s };
                if (*s == '%' && end - s > 2 && isxdigit((unsigned char) s[1]) &&
                    isxdigit((unsigned char) s[2])) {
                        char hex[3] = { s[1], s[2] };
                        c[0] = (char) strtoul(hex, NULL, 16);
                        s += 2;
                }
                int r = c[0] ? sigv4_uri_encode(c, false, ret) : buffer_append_string(ret, "%00");
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

static int compare_parameters(const void *a, const void *b)
{
        /* "name\0value\0": names are compared first, so that "a=1" comes before "a-b=0". */
        const char *x = *(char *const *) a, *y = *(char *const *) b;
        int r = strcmp(x, y);
        return r ? r : strcmp(x + strlen(x) + 1, y + strlen(y) + 1);
}

static int parameter_new(const char *part, size_t length, char **ret)
{
        _cleanup_buffer_ Buffer b = {};
        const char *end = part + length, *equals = memchr(part, '=', length);
        int r = reencode(part, equals ? equals : end, &b);
        if (r < 0) {
                return r;
        }
        r = buffer_append(&b, "", 1);
        if (r < 0) {
                return r;
        }
        r = equals ? reencode(equals + 1, end, &b) : 0;
        if (r < 0) {
                return r;
        }
        *ret = buffer_take(&b);
        return 0;
}

/* Appends the canonical query and the end of its line. */
static int canonical_query(const char *query, Buffer *ret)
{
        char *parts[QUERY_PARTS_MAX] = { NULL };
        size_t n = 0;
        int r = 0;

        for (const char *p = strempty(query); *p && r == 0;) {
                size_t length = strcspn(p, "&");
                if (length > 0) {
                        r = n == QUERY_PARTS_MAX ? -E2BIG : parameter_new(p, length, &parts[n]);
                        n += r == 0;
                }
                p += length;
                p += *p == '&';
        }
        if (r == 0) {
                qsort(parts, n, sizeof(parts[0]), compare_parameters);
        }
        for (size_t i = 0; i < n; i++) {
                if (r == 0) {
                        r = buffer_append_format(ret, "%s%s=%s", i > 0 ? "&" : "", parts[i],
                                                 parts[i] + strlen(parts[i]) + 1);
                }
                free(parts[i]);
        }
        return r < 0 ? r : buffer_append_string(ret, "\n");
}

static int compare_headers(const void *a, const void *b)
{
        const SignedHeader *x = a, *y = b;
        int r = strcmp(x->name, y->name);
        return r ? r : (x->position > y->position) - (x->position < y->position);
}

/* Appends a header's value without white space at its ends. A run of white space inside becomes one
 * blank. */
static int append_header_value(const char *value, Buffer *ret)
{
        bool started = false, gap = false;
        for (const char *p = value; *p; p++) {
                if (isspace((unsigned char) *p)) {
                        gap = started;
                        continue;
                }
                int r = gap ? buffer_append_string(ret, " ") : 0;
                if (r < 0) {
                        return r;
                }
                r = buffer_append(ret, p, 1);
                if (r < 0) {
                        return r;
                }
                started = true;
                gap = false;
        }
        return 0;
}

static int sigv4_add_header(SignedHeader *headers, size_t *n, const char *name, const char *value)
{
        SignedHeader *h = &headers[*n];
        if (strlen(name) >= sizeof(h->name)) {
                return -E2BIG;
        }
        size_t i = 0;
        for (; name[i]; i++) {
                h->name[i] = (char) tolower((unsigned char) name[i]);
        }
        h->name[i] = '\0';
        h->value = value;
        h->position = (*n)++;
        return 0;
}

/* Begins the line of header i; a second header of the same name continues the line of the first. */
static int append_header_name(const SignedHeader *headers, size_t i, Buffer *ret, Buffer *ret_names)
{
        if (i > 0 && streq(headers[i].name, headers[i - 1].name)) {
                return buffer_append_string(ret, ",");
        }
        int r = buffer_append_format(ret, "%s%s:", i > 0 ? "\n" : "", headers[i].name);
        if (r < 0) {
                return r;
        }
        return buffer_append_format(ret_names, "%s%s", i > 0 ? ";" : "", headers[i].name);
}

/* Appends the canonical headers to *ret, and their names to *ret_names ("host;x-amz-date"). */
static int canonical_headers(SignedHeader *headers, size_t n, Buffer *ret, Buffer *ret_names)
{
        qsort(headers, n, sizeof(headers[0]), compare_headers);
        for (size_t i = 0; i < n; i++) {
                int r = append_header_name(headers, i, ret, ret_names);
                if (r < 0) {
                        return r;
                }
                r = append_header_value(headers[i].value, ret);
                if (r < 0) {
                        return r;
                }
        }
        return buffer_append_string(ret, "\n");
}

/* Collects the headers to sign: the request's own and those that the signature needs. */
static int collect_headers(const Sigv4Request *request, const AwsKeys *keys,
                           const Sigv4Result *result, SignedHeader *headers, size_t *n)
{
        if (request->n_headers + 3 > SIGV4_HEADERS_MAX) {
                return -E2BIG;
        }
        for (size_t i = 0; i < request->n_headers; i++) {
                int r = sigv4_add_header(headers, n, request->headers[i].name,
                                         request->headers[i].value);
                if (r < 0) {
                        return r;
                }
        }
        int r = sigv4_add_header(headers, n, "x-amz-date", result->amz_date);
        if (r == 0 && request->sign_body_header) {
                r = sigv4_add_header(headers, n, "x-amz-content-sha256", result->body_sha256);
        }
        if (r == 0 && keys->session_token.size > 0 && !request->omit_session_token) {
                r = sigv4_add_header(headers, n, "x-amz-security-token", keys->session_token.data);
        }
        return r;
}

static int canonical_request(const Sigv4Request *request, const AwsKeys *keys, Sigv4Result *result,
                             Buffer *ret_names)
{
        SignedHeader headers[SIGV4_HEADERS_MAX];
        size_t n = 0;
        int r = collect_headers(request, keys, result, headers, &n);
        if (r < 0) {
                return r;
        }
        Buffer *b = &result->canonical_request;
        r = buffer_append_format(b, "%s\n", request->method);
        if (r < 0) {
                return r;
        }
        r = canonical_path(request, b);
        if (r < 0) {
                return r;
        }
        r = canonical_query(request->query, b);
        if (r < 0) {
                return r;
        }
        r = canonical_headers(headers, n, b, ret_names);
        if (r < 0) {
                return r;
        }
        return buffer_append_format(b, "\n%s\n%s", ret_names->data, result->body_sha256);
}

/* key and ret may be the same memory. */
static bool hmac(const void *key, size_t key_size, const char *text, unsigned char ret[32])
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        bool ok = HMAC(EVP_sha256(), key, (int) key_size, (const unsigned char *) text,
                       strlen(text), digest, &size) &&
                  size == 32;
        if (ok) {
                memcpy(ret, digest, 32);
        }
        OPENSSL_cleanse(digest, sizeof(digest));
        return ok;
}

/* Computes the chain of HMACs that ends in the signature. */
static int signature(const Sigv4Request *request, const AwsKeys *keys, const char *date,
                     const char *to_sign, char ret[65])
{
        _cleanup_secret_ Secret start = SECRET_INIT;
        int r = buffer_append_string(&start, "AWS4");
        if (r < 0) {
                return r;
        }
        r = buffer_append(&start, keys->secret_access_key.data, keys->secret_access_key.size);
        if (r < 0) {
                return r;
        }
        unsigned char key[32];
        bool ok = hmac(start.data, start.size, date, key) &&
                  hmac(key, sizeof(key), request->region, key) &&
                  hmac(key, sizeof(key), request->service, key) &&
                  hmac(key, sizeof(key), "aws4_request", key) &&
                  hmac(key, sizeof(key), to_sign, key);
        if (ok) {
                string_hex(key, sizeof(key), ret);
        }
        OPENSSL_cleanse(key, sizeof(key));
        return ok ? 0 : -ENOMEM;
}

static int sign(const Sigv4Request *request, const AwsKeys *keys, Sigv4Result *result)
{
        char now[TIME_TEXT_MAX];
        time_format_basic(request->now, now);
        if (strlen(now) != sizeof(result->amz_date) - 1) {
                return -EOVERFLOW;
        }
        memcpy(result->amz_date, now, sizeof(result->amz_date));
        digest_sha256_hex(request->body, request->body_size, result->body_sha256);

        _cleanup_buffer_ Buffer names = {};
        int r = canonical_request(request, keys, result, &names);
        if (r < 0) {
                return r;
        }
        char date[9], hash[65], mac[65], scope[192];
        memcpy(date, result->amz_date, 8);
        date[8] = '\0';
        digest_sha256_hex(result->canonical_request.data, result->canonical_request.size, hash);
        int n = snprintf(scope, sizeof(scope), "%s/%s/%s/aws4_request", date, request->region,
                         request->service);
        if (n < 0 || (size_t) n >= sizeof(scope)) {
                return -E2BIG;
        }
        r = buffer_append_format(&result->string_to_sign, "%s\n%s\n%s\n%s", ALGORITHM,
                                 result->amz_date, scope, hash);
        if (r < 0) {
                return r;
        }
        r = signature(request, keys, date, result->string_to_sign.data, mac);
        if (r < 0) {
                return r;
        }
        n = snprintf(result->authorization, sizeof(result->authorization),
                     "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", ALGORITHM,
                     keys->access_key_id, scope, names.data, mac);
        return n < 0 || (size_t) n >= sizeof(result->authorization) ? -E2BIG : 0;
}

int sigv4_sign(const Sigv4Request *request, const AwsKeys *keys, Sigv4Result *ret, Error *err)
{
        /* The canonical request carries the session token. */
        _cleanup_sigv4_result_ Sigv4Result result = { .canonical_request.wipe = true };
        int r = sign(request, keys, &result);
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        if (r < 0) {
                return error_set(err, ERROR_FATAL, r, "sign %s %s: request too large to sign",
                                 request->method, request->path ? request->path : "/");
        }
        *ret = result;
        result = (Sigv4Result) {};
        return 0;
}

void sigv4_result_done(Sigv4Result *result)
{
        buffer_done(&result->canonical_request);
        buffer_done(&result->string_to_sign);
}
